"""Before a request exists: rows, pictures, prompts, questions, characters."""
