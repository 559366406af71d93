"""Imports TensorFlow without the lines that it writes to stderr."""

from __future__ import annotations

import os

from tinybert_tf.export.quiet import quiet


def import_tensorflow() -> None:
    """Import TensorFlow without the lines that its C++ core writes to stderr while it loads.

    Those lines ignore TF_CPP_MIN_LOG_LEVEL; they are shown if the import fails.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # at 2, it reports a machine without a GPU as an error
    with quiet():
        import tensorflow as tf
    # Every model has its own `predict`; TensorFlow takes them for one that is traced again and again, and warns.
    tf.get_logger().setLevel("ERROR")


def import_what_runs(model: str) -> None:
    """Import TensorFlow, unless the model is an export that runs without it."""
    from tinybert_tf.export.predictor import exported_directory, needs_tensorflow
    from tinybert_tf.pipeline.first_look import look_at_model

    if needs_tensorflow(model):
        if exported_directory(model) is None:
            look_at_model(model)
        import_tensorflow()
