"""Runs ``vllm serve`` as a child process."""
