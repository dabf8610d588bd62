"""Inner rules: how a task's parameters adapt to its data, for any loss, and the gradient through it. May use:
compute and below."""
