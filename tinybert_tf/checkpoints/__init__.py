"""Files of weights: reading them, naming them, writing them."""
