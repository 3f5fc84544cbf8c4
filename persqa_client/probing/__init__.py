"""Finds out, before a run, which features a server supports."""
