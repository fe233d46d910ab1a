"""Engines and their runs, as every front end sees them. Knows no Textual and no rich."""
