"""Free functions on tensors."""
