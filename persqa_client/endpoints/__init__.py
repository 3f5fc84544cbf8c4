"""Completes requests at one or several endpoints: limits, retries, outages, failover."""
