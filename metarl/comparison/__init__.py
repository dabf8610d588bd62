"""Algorithms and baselines on the same tasks, judged by one evaluator. May use: everything below it."""
