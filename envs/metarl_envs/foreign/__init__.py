"""Environments of others: their task hooks, processes and outcomes. May use: tasks and below."""
