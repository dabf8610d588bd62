"""stable-baselines3's learners on one task at a time, to compare with. May use: runs and below."""
