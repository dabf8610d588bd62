"""Pictures of environments. May use: family and below."""
