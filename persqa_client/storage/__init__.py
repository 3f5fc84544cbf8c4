"""Files of a run: results, journal and checkpoints, for resuming."""
