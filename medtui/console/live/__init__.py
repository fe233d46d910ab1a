"""The Live screen and all that is its own."""
