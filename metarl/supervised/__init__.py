"""The same rules on labelled examples: few-shot classification and regression, of which nothing is imported
that no config names. May use: meta_learners and below; `training.examples` trains it."""
