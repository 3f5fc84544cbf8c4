"""The Python interface: ``client`` for one question or a stream of rows, ``generate`` for a whole run."""
