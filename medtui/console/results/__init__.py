"""The Results screen and its parts."""
