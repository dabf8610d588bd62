"""Speed and memory, as ratios to references measured in the same run. May use: everything below it."""
