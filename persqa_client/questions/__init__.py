"""What is asked about a row: banks of questions, tags, prompts and the tasks made of them."""
