"""Texts and their labels."""
