"""Images of the user's own: read, converted once, split without leaks."""
