"""What can be known of the machine without torch: hardware, ghosts, checks."""
