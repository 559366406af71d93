"""A training step: losses by their totals and counts, batches in parts, replicas."""
