"""How many requests are in flight at once, and how fast they are sent."""
