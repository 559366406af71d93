"""The layers that models are made of, and their fast forms."""
