"""The variants of an ablation and the tables of their results."""
