"""Task models: an encoder and a head."""
