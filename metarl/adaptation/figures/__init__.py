"""Pictures of adaptation: pure functions from what an evaluation found to Matplotlib figures. May use:
adaptation and below."""
