"""From a config to objects: strict YAML, environments, policy and learner. May use: adaptation and below, and
the settings of training and of learning from scratch."""
