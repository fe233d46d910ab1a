"""Facts that the console shows."""
