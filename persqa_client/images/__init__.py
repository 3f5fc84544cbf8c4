"""Loads images and prepares them for sending."""
