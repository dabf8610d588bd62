"""The same rules on labelled examples: few-shot classification and regression, of which nothing is imported
that no config names. May use: meta_learners and below; `runs` trains it, and may use the run folder."""
