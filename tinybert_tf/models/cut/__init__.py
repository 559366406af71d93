"""A narrower student cut from its teacher, on the teacher's activations of a few hundred texts."""
