"""Questions, tags and prompts of a row."""
