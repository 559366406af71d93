"""Cutting a narrower student from its teacher, with the teacher's activations on a few hundred texts."""
