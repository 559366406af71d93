"""A run: its directory, its progress, what it logs and measures."""
