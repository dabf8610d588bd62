"""Where and how tensors are worked on: devices, and the map over tasks. May use: math and below."""
