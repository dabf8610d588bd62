"""The task families, a file each. May use: physics, rendering, family and below."""
