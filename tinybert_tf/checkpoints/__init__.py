"""Files of weights: their formats, names of their tensors, reading and writing."""
