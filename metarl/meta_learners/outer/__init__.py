"""Outer steps: curvature through the adaptation, trust region, Adam on clipped ratios. May use: inner rules,
objectives and below."""
