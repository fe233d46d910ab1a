"""One module per tool, which alone imports it: an extra, so nothing here is imported before it is asked for."""
