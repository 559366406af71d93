"""Mean squared error of the embedding outputs."""

from __future__ import annotations

from tinybert_tf.distillation.losses.hidden_state import HiddenStateLoss


class EmbeddingLoss(HiddenStateLoss):
    """`MSE(E_S W_e, E_T)` of the embedding outputs, pair 0 (arXiv 1909.10351, equation 9).

    As `HiddenStateLoss`, for `hidden_states` 0: the sum of word, position and token type embeddings after LayerNorm.

    Example:
        >>> EmbeddingLoss(weight=0.5).get_config()
        {'weight': 0.5, 'name': 'embedding_loss', 'reduction': 'tokens'}
    """

    layers = "embedding"
