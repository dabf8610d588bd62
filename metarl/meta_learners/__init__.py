"""Algorithms: (state, meta-batch) -> (state, metrics), a short file each. Sees no environment. May use:
objectives and below."""
