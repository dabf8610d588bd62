"""Algorithms: (state, meta-batch) -> (state, metrics)."""
