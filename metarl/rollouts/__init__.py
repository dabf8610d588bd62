"""Episodes: samplers, their random keys, the advantages estimated from them, and rows of old ones. Sees no
loss. May use: policies and below."""
