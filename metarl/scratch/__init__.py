"""The baseline without meta-learning: stable-baselines3 from scratch on every held-out task."""
