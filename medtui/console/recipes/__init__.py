"""The Recipes screen and its parts."""
