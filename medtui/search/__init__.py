"""A search for the best values of some fields: a suite whose runs are asked for one trial after the other."""
