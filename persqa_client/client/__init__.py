"""Talking to endpoints: requests, dialects, the client, limits, retries, admission."""
