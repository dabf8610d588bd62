"""Rows of old episodes, only ever added to, and draws of them by group. May use: nothing else of metarl."""
