"""A run: its directory, its progress, its logs and its measurements."""
