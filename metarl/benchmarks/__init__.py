"""How fast it is, as ratios against references in the same run. May use: everything below it."""
