"""Policies: pure functions of (parameters, observations), and their ways to stable-baselines3. May use:
compute and below."""
