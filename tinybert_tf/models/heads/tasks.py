"""The model class of each task, and the task of a saved model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinybert_tf import features
from tinybert_tf.checkpoints.families import BERT
from tinybert_tf.checkpoints.formats import open_tensors, resolve_model
from tinybert_tf.checkpoints.hf_directory import config_path, read_config
from tinybert_tf.errors import InputError
from tinybert_tf.labels import Labels
from tinybert_tf.models.heads.masked_lm import MaskedLM
from tinybert_tf.models.heads.sequence_classifier import SequenceClassifier
from tinybert_tf.models.heads.task_model import TaskModel
from tinybert_tf.models.heads.token_heads import QuestionAnswering, TokenClassifier, TokenModel


@dataclass(frozen=True)
class TaskHead:
    """The model of a task: its class, the kind of its logits, and the arguments of a new one."""

    model_class: type[TaskModel]
    predicts: str = features.CLASSES
    arguments: Mapping[str, Any] = field(default_factory=dict)


TASK_MODELS: dict[str, TaskHead] = {
    "sequence_classification": TaskHead(SequenceClassifier),
    "regression": TaskHead(SequenceClassifier, features.SCORES),
    "multi_label": TaskHead(SequenceClassifier, features.LABELS, {"problem_type": "multi_label_classification"}),
    "token_classification": TaskHead(TokenClassifier),
    "question_answering": TaskHead(QuestionAnswering, features.POSITIONS),
    "masked_lm": TaskHead(MaskedLM),
}
# The kinds of logits, in the words of messages.
_GIVES = {
    features.CLASSES: "classes, one of them right",
    features.SCORES: "one score",
    features.LABELS: "labels, any number of them right",
    features.POSITIONS: "an answer's first and last token",
}


def task_head(task: str) -> TaskHead:
    """Return the task's row of `TASK_MODELS`.

    Raises:
        InputError: the task is unknown.
    """
    if task not in TASK_MODELS:
        raise InputError(f"task {task!r}: expected one of {', '.join(TASK_MODELS)}.")
    return TASK_MODELS[task]


def task_of(dir_or_hub_id: str | Path) -> str:
    """Return the task of a saved model, read from its `config.json`; a classifier's if that names no other task.

    Raises:
        InputError: the directory does not exist, or its `config.json` cannot be read.
    """
    directory = resolve_model(dir_or_hub_id)
    values = read_config(directory)
    architectures = values.get("architectures") or ()
    problem = values.get("problem_type")
    for task, head in TASK_MODELS.items():
        suffix = head.model_class.architecture.removeprefix(BERT.class_prefix)
        if issubclass(head.model_class, TokenModel) and any(name.endswith(suffix) for name in architectures):
            return task
    by_problem = {"multi_label_classification": "multi_label", "regression": "regression"}
    if problem in list(by_problem):
        return by_problem[problem]
    num_labels = len(Labels.from_config(values, str(config_path(directory))) or ()) or _num_rows_of_classifier(
        directory
    )
    return "regression" if num_labels == 1 else "sequence_classification"


def _num_rows_of_classifier(directory: Path) -> int:
    """The number of labels of a head whose `config.json` does not name them; 0 if there is no such head."""
    tensors = open_tensors(directory)
    kernels = [name for name in ("classifier.weight", "classifier.out_proj.weight") if name in tensors]
    return tensors.shape(kernels[0])[0] if kernels else 0


def load_teaching(dir_or_hub_id: str | Path, task: str) -> TaskModel:
    """Load a fine-tuned model of a task, in float32.

    Raises:
        InputError: an unknown task; a directory without that task's head, or with one that gives something else; and as
            `from_pretrained` of the models.
    """
    head = task_head(task)
    model = head.model_class.from_pretrained(dir_or_hub_id, dtype="float32")
    missing = model.load_report.missing if model.load_report is not None else ()
    if missing:
        raise InputError(
            f"{dir_or_hub_id} has no {task} head: {missing[0]} is missing. Fine-tune it first (tinybert finetune "
            f"--model {dir_or_hub_id} ...), or name the task that it was trained for."
        )
    if model.predicts != head.predicts:
        raise InputError(
            f"{dir_or_hub_id} gives {_GIVES[model.predicts]}; a model for task {task} gives {_GIVES[head.predicts]}. "
            f"Fine-tune one (tinybert finetune --task {task} ...), or name the task that it was trained for (--task "
            f"{task_of(dir_or_hub_id)})."
        )
    return model


def load_for_labels(dir_or_hub_id: str | Path, task: str, label_names: Sequence[str]) -> TaskModel:
    """Load the directory's model for the task if it has these labels, else its encoder with a new head for them.

    `["LABEL_0"]` stands for a score. Names of the form `LABEL_i`, made from integers in a file, fit any names if there
    are as many.

    Raises:
        InputError: as `from_pretrained` of the models.
    """
    head = task_head(task)
    model = head.model_class.from_pretrained(dir_or_hub_id)
    integers = Labels.of(label_names).are_default
    fits = sorted(model.label_names) == sorted(label_names) or (integers and len(model.label_names) == len(label_names))
    if model.has_loaded_head and model.predicts == head.predicts and fits:
        return model
    return head.model_class.new_head(model.encoder, label_names, **head.arguments)
