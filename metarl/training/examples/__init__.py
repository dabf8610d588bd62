"""Training on labelled examples in a run folder, behind `metarl train`. May use: training's bars and
event files, runs and below."""
