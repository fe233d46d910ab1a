"""The recipe: fields, reading, identity."""
