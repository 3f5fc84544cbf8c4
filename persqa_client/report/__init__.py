"""The report: one HTML page about runs, with their pictures, questions, answers and failures."""
