"""Copies of texts with other words in them."""
