"""Text to batches: readers, tokenizer, batches and the self-made demo corpus."""
