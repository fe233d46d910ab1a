"""What lies on disk: workspace, lock, run directories and their files."""
