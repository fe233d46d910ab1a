"""Pictures by a terminal's own graphics: what it can show, how they are encoded, where they are painted."""
