"""Value baselines, refitted to each task's own episodes."""
