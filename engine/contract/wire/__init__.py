"""The protocol between the console side and an engine: messages, lines, errors."""
