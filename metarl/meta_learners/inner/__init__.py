"""Inner rules: a task's parameters after a step on its data, for any loss."""
