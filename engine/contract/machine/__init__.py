"""What can be known of the machine and its processes without torch."""
