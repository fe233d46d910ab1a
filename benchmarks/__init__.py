"""`make bench`: our speed and memory against what a user would do without us, in one run, by alternating pairs."""
