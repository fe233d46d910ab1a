"""`make bench`: speed and memory compared with working without medtui, in one run, in alternating pairs."""
