"""Runs the tasks of many rows concurrently."""
