"""A smaller model of the same kind: weights that are zero, heads and units that are gone, numbers of few bits."""
