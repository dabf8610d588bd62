"""Objectives of a policy on episodes: (parameters, one task's batch) -> scalar. May use: rollouts and
below."""
