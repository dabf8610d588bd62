"""Policies: pure functions of (parameters, observations)."""
