"""Suites: many runs as a grid, the queue, and what there is to do with them."""
