"""The jobs an engine can do. Here data, model, train, evaluate and report meet; they do not know each other."""
