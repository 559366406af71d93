"""Devices, the optimizer, and checkpoints of a training run."""
