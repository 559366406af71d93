"""Smaller numbers for a student: quantization-aware training."""
