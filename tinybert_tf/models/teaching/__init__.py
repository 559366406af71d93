"""Frozen models that only answer."""
