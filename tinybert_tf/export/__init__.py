"""Exported models: writing and verifying them, running them, and answering texts with them."""
