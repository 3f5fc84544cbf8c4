"""Question banks, one JSONL file for each category and language."""
