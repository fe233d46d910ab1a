"""The only way to open files and to inspect paths."""
