"""Sampling and learning joined: meta-batches, the loop, evaluation, checkpoints, logs."""
