"""The Transformer encoder, from embeddings to the output dict."""
