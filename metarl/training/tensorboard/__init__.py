"""What TensorBoard shows of a run: adaptation first, then health, a card and settings. May use: training and
below."""
