"""A teacher of your own: a Keras model that is no Transformer, and a file of logits from anywhere.

    python examples/custom_teacher.py MODEL TRAIN OUT

Whatever answers with the output dict can teach what it has in it. A teacher that cannot run here at all (another
framework's, or one behind an API) teaches by its logits, one row for each text.
"""

import sys

import keras
import numpy as np
from keras import ops

import tinybert_tf as tb


class WordTeacher(keras.Model):
    """A mean of word vectors and a hidden layer: `logits`, and nothing inside that a BERT could be compared with."""

    def __init__(self, vocab_size, num_labels, **kwargs):
        super().__init__(**kwargs)
        self.words = keras.layers.Embedding(vocab_size, 32)
        self.hidden = keras.layers.Dense(32, activation="relu")
        self.head = keras.layers.Dense(num_labels)

    def call(self, inputs, training=False):
        """`{"logits": (batch, num_labels)}`."""
        mask = ops.cast(inputs["attention_mask"], "float32")[..., None]
        mean = ops.sum(self.words(inputs["input_ids"]) * mask, axis=1) / ops.sum(mask, axis=1)
        return {"logits": self.head(self.hidden(mean))}


class FileOfLogits:
    """What a teacher said of each row of a data set, as inputs of the batches: then no teacher is run."""

    def __init__(self, logits):
        self.logits = logits
        self.shapes = {"teacher/logits": (None, logits.shape[1])}

    def __call__(self, rows, length):
        """The logits of these rows."""
        return {"teacher/logits": self.logits[rows]}


def main(model, train, out, epochs=3, learning_rate=3e-4):
    """Train a `WordTeacher`, and students on it and on its logits alone; returns how often each says what it says."""
    tokenizer = tb.load_tokenizer(model)
    dataset = tb.TextDataset.from_file(train, text="text", label="label")
    batches = dataset.batches(tokenizer, batch_size=32, seed=1)
    names = dataset.label_names()

    teacher = WordTeacher(tokenizer.vocab_size, len(names))
    teacher.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        loss={"logits": keras.losses.SparseCategoricalCrossentropy(from_logits=True)},
    )
    teacher.fit(batches, epochs=20, verbose=0)
    in_order = dataset.batches(tokenizer, batch_size=32)
    logits = np.asarray(in_order.in_file_order(teacher.predict(in_order, verbose=0)["logits"]))

    agreement = {}
    for name, taught in {"model": batches, "file": batches.with_row_inputs(FileOfLogits(logits))}.items():
        student = tb.SequenceClassifier(tb.TransformerEncoder.from_pretrained(model).config, len(names), names)
        distiller = tb.Distiller(teacher, student, losses=[tb.PredictionLoss(temperature=2.0)])
        distiller.compile(optimizer=tb.bert_optimizer(learning_rate=learning_rate, total_steps=epochs * len(batches)))
        distiller.fit(taught, epochs=epochs, verbose=0)
        student.save_pretrained(f"{out}/{name}", tokenizer=tokenizer)
        answers = in_order.in_file_order(student.predict(in_order, verbose=0)["logits"])
        agreement[name] = float(np.mean(answers.argmax(-1) == logits.argmax(-1)))
    return agreement


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
