"""What steps a batch of MuJoCo environments, and its models. May use: family and below."""
