"""Outer steps: the meta-gradient through the inner steps, curvature, trust region, Adam on clipped ratios."""
