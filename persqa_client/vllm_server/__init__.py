"""A server of one's own: ``vllm serve`` as a process that is started, watched, and ended with all that it started."""
