"""A task of your own: sentence embeddings, which the library has no word for.

    python examples/custom_task.py MODEL TEXTS OUT

A task is three small things: a model that puts its answer into the output dict under a name, a loss whose `feature` is
that name, and batches. Here the answer is the mean of the last hidden state over real tokens, as sentence-transformers
have it, and no label is read: the student learns to place texts where its teacher places them.
"""

import dataclasses
import sys

import keras
from keras import ops

import tinybert_tf as tb


class SentenceEmbedder(keras.Model):
    """An encoder whose answer is `sentence_embedding`, `(batch, width)`, of length 1."""

    def __init__(self, encoder, **kwargs):
        super().__init__(**kwargs)
        self.encoder = encoder
        self.num_hidden_layers = encoder.num_hidden_layers  # what a Distiller asks of any model

    def call(self, inputs, training=False, **requests):
        """The encoder's output dict, and one entry more; `requests` are the features that losses compare."""
        outputs = self.encoder(inputs, training=training, **requests)
        weights = ops.cast(inputs["attention_mask"], outputs["last_hidden_state"].dtype)[..., None]
        mean = ops.sum(outputs["last_hidden_state"] * weights, axis=1) / ops.sum(weights, axis=1)
        return {**outputs, "sentence_embedding": ops.normalize(mean, axis=-1)}


class SentenceEmbeddingLoss(tb.DistillationLoss):
    """Squared distance of both models' embeddings, the mean over texts."""

    feature = "sentence_embedding"

    def call(self, *, student, teacher, mask):
        """A scalar."""
        return ops.mean(ops.sum(ops.square(student - teacher), axis=-1))


def main(model, texts, out, epochs=3):
    """Distil the encoder in `model` on the lines of `texts`; returns the mean cosine of both on them."""
    with open(texts, encoding="utf-8") as file:
        lines = [line.strip() for line in file if line.strip()]
    batches = tb.TextDataset.from_lists(lines).batches(tb.load_tokenizer(model), batch_size=32, seed=1)

    encoder = tb.TransformerEncoder.from_pretrained(model)
    teacher = SentenceEmbedder(encoder)
    depth = encoder.num_hidden_layers
    half = tb.TransformerEncoder(dataclasses.replace(encoder.config, num_hidden_layers=depth // 2))
    tb.copy_layers(half, encoder, tb.LayerMap.uniform(depth // 2, depth).layer_pairs())
    student = SentenceEmbedder(half)

    distiller = tb.Distiller(teacher, student, losses=[SentenceEmbeddingLoss(), tb.HiddenStateLoss()])
    steps = epochs * len(batches)
    distiller.compile(optimizer=tb.bert_optimizer(learning_rate=1e-4, total_steps=steps))
    distiller.fit(batches, epochs=epochs, verbose=2)

    student.encoder.save_pretrained(out, tokenizer=tb.load_tokenizer(model))
    squared = distiller.evaluate(batches, verbose=0, return_dict=True)["sentence_embedding_loss"]
    return 1 - squared / 2


if __name__ == "__main__":
    print(f"mean cosine of student and teacher: {main(*sys.argv[1:]):.3f}")
