"""The training loop and what watches it: records, console, observers. May use: runs and below."""
