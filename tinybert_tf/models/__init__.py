"""The configurable encoder of BERT and its relatives, its task heads, and the teacher."""
