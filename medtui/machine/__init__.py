"""What is known about the machine without torch: hardware, orphans, checks."""
