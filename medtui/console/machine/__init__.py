"""The Machine screen and all that is its own."""
