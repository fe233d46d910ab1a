"""Experiment trackers: a run's journal followed into TensorBoard, MLflow, Weights & Biases or Trackio."""
