"""Which rows run, when and where."""
