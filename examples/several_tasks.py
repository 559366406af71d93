"""One student for several tasks, with a teacher for each: an encoder that is shared, a head for each task.

    python examples/several_tasks.py OUT NAME TEACHER TRAIN [NAME TEACHER TRAIN ...]

`TEACHER` is the directory of a fine-tuned classifier, `TRAIN` a file with the columns `text` and `label`. The teachers
have the same tokens, and the encoder every second layer of the first one's. `OUT/NAME` is then a model as any other.
"""

import dataclasses
import sys

import tinybert_tf as tb


def main(out, tasks, epochs=3, learning_rate=1e-4):
    """Distil the teachers of `tasks`, `{name: (teacher, train)}`, into one encoder; returns all epochs' losses."""
    teachers = {name: tb.SequenceClassifier.from_pretrained(teacher) for name, (teacher, _) in tasks.items()}
    batches = {
        name: tb.TextDataset.from_file(train, text="text", label="label").batches(
            tb.load_tokenizer(teacher), batch_size=32, seed=1, label_names=teachers[name].label_names
        )
        for name, (teacher, train) in tasks.items()
    }
    whole = next(iter(teachers.values())).encoder
    depth = whole.num_hidden_layers
    encoder = tb.TransformerEncoder(dataclasses.replace(whole.config, num_hidden_layers=depth // 2))
    tb.copy_layers(encoder, whole, tb.LayerMap.uniform(depth // 2, depth).layer_pairs())

    students = {
        name: tb.SequenceClassifier(encoder, len(teacher.label_names), teacher.label_names)
        for name, teacher in teachers.items()
    }
    losses = [tb.HiddenStateLoss(), tb.PredictionLoss()]
    distiller = tb.MultiTaskDistiller(
        {name: tb.Distiller(teachers[name], student, losses=losses) for name, student in students.items()}
    )
    together = tb.MultiTaskBatches(batches)
    distiller.compile(optimizer=tb.bert_optimizer(learning_rate, total_steps=epochs * len(together)))
    history = distiller.fit(together, epochs=epochs, verbose=2).history

    for name, student in students.items():
        student.save_pretrained(f"{out}/{name}", tokenizer=tb.load_tokenizer(tasks[name][0]))
    return history


if __name__ == "__main__":
    out, *rest = sys.argv[1:]
    main(out, {name: (teacher, train) for name, teacher, train in zip(rest[::3], rest[1::3], rest[2::3], strict=True)})
