"""Data as tasks: what a config's section `data` names. May use: examples and below."""
