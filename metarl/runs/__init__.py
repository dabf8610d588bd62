"""The folder of a run: its files, what ties them together, and the policies loaded from it. May use:
experiment and below."""
