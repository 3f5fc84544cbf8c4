"""Runs `vllm serve` as a child process: starts it, waits until it is ready, and stops it with all its children."""
