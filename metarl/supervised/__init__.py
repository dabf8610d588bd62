"""The same rules on points instead of episodes: sinusoid regression. May use: meta_learners and below."""
