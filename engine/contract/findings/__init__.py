"""What stands out in a run, found by rules over its history and said in words."""
