"""Brings requests to their end at one of several endpoints: limits, retries, outages, failover."""
