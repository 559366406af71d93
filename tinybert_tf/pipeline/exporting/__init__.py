"""What an export is verified on, and what it costs."""
