"""What TensorBoard shows of a run: adaptation first, then health, a card and settings. May use: training's
observers, bars and commands to go on; runs and below."""
