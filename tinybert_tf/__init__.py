"""tinybert_tf."""
