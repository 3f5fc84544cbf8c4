"""After the text came back: answers, checks, records, and the files of a run."""
