"""The front end without a console."""
