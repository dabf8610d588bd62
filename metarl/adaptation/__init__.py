"""Sampler and learner joined: sample, adapt, sample again, and the curves of it. May use: meta_learners
and below."""
