"""The record of a data set, and the records of runs."""
