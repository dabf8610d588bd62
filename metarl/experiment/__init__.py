"""From a config to objects: strict YAML, environments, policy and learner. May use: adaptation and below."""
