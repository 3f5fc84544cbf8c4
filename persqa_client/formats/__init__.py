"""Layouts that trainers load, and the export of runs into them."""
