"""Learners on labelled examples, a short file each: what a config's section `learner` names. May use: the
rules and outer steps of `meta_learners`, networks and data's examples."""
