"""Episodes: samplers, their random keys, the advantages estimated from them, and the rows that are replayed. Sees no loss. May use:
policies and below."""
