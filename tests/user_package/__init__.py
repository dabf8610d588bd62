"""A package of a user's own: what metarl takes by name."""
