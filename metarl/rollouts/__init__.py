"""Episodes: samplers, their random keys, and the advantages estimated from them. Sees no loss. May use:
policies and below."""
