"""Rollouts and advantages."""
