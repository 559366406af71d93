"""The steps of a compression."""
