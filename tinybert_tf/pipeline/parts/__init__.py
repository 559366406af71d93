"""From a config to the objects of a run: data, teacher, student, losses, stages."""
