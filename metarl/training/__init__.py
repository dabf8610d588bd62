"""The training loop and what it shows: logs, tables, evaluations. May use: runs and below."""
