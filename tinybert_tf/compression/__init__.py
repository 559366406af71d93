"""Making a model smaller: zero weights, fewer heads and units, few values, numbers of few bits."""
