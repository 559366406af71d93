"""Tokenized rows as padded batches in a reproducible order."""
