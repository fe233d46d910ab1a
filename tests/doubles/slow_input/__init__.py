"""An engine whose storage becomes slow."""
