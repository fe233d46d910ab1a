"""The console side of medtui. Of the engine it imports `engine.contract` and nothing else."""
