"""Inputs: where rows come from."""
