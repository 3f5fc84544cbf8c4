"""One attempt at a request: its body, its transport, and what its outcome means."""
