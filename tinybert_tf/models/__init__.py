"""The configurable BERT encoder, its task heads and the teacher."""
