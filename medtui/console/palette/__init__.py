"""What the palette finds: actions, recipes, runs, data sets, settings."""
