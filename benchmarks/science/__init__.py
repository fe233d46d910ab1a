"""Recipes that hold: how those of BreastMNIST and RetinaMNIST were chosen, and what ten fresh seeds give."""
