"""The rows on which an export is verified, and its costs."""
