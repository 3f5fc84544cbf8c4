"""Probes servers for their features before a run."""
