"""Suites on a cluster: each run is a job of the scheduler, submitted by submitit, and no process owns the suite."""
