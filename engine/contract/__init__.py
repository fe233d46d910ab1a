"""What the console and the engine both know. Imports no torch, and nothing else of the engine."""
