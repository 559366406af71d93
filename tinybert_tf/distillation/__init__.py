"""The Distiller, and its layer maps, losses and projections."""
