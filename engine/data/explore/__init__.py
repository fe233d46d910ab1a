"""What is in a source of images: its classes, its sizes, and what is wrong with it."""
