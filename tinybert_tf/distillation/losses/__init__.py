"""The losses of distillation, one small class each."""
