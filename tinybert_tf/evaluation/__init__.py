"""Measuring a model's cost and perplexity, and plotting measurements."""
