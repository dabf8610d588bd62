"""The training loop and what watches it: records, console, observers. May use:
from_scratch, runs and below."""
