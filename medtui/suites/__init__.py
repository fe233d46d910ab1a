"""Many runs as one: suites, the queue, the runner that does them, and the table of their results."""
