"""Runs and data sets whose rows are answered on the nodes of a Ray cluster."""
