"""One attempt at a request: body, transport, and classification of the result."""
