"""The files of a run: results, journal and checkpoints, and how a run is resumed from them."""
