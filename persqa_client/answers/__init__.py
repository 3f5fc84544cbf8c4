"""Parses, cleans, repairs and checks answers."""
