"""Layer maps, losses, projections and the Distiller."""
