"""Images: from a reference in a row to what is sent."""
