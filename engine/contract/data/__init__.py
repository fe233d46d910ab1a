"""Facts of data sets, and where their files are."""
