"""Free functions on tensors; knows of no policy, task or environment. May use: nothing of metarl."""
