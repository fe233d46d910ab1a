"""A job that the product does not have: its message in `message`, its work in `work`, and an engine that knows it."""
