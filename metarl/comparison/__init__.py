"""Algorithms compared: the same tasks, budget and evaluator, several seeds, one table."""
