"""Making the objects of a run from its config: data, teacher, student, losses, stages."""
