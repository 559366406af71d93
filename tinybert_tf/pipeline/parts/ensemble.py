"""Loading the teachers of a config: the first, and others whose logits are averaged with its own."""

from __future__ import annotations

from tinybert_tf.config.models import TeacherSection
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer, load_tokenizer
from tinybert_tf.errors import InputError
from tinybert_tf.models.heads.task_model import TaskModel
from tinybert_tf.models.heads.tasks import load_teaching
from tinybert_tf.models.limits import check_limits
from tinybert_tf.models.teaching.teacher import Teacher
from tinybert_tf.models.teaching.teacher_ensemble import TeacherEnsemble


def load_others(
    section: TeacherSection, first: TaskModel, tokenizer: Tokenizer, task: str, max_length: int
) -> list[TaskModel]:
    """Load the teachers beside the first, in float32.

    Raises:
        InputError: a teacher has other labels or another vocabulary than the first; or as `load_teaching` and
            `check_limits`.
    """
    others = []
    for directory in section.dirs[1:]:
        model, vocabulary = load_teaching(directory, task), load_tokenizer(directory).vocabulary()
        if model.label_names != first.label_names:
            raise InputError(
                f"teacher {directory}: its labels {model.label_names} are not those of {section.dir}, "
                f"{first.label_names}, in that order."
            )
        if vocabulary != tokenizer.vocabulary():
            raise InputError(
                f"teacher {directory}: its vocabulary of {len(vocabulary)} tokens is not that of {section.dir}; all "
                f"teachers read the same token ids."
            )
        check_limits(model.config, len(vocabulary), max_length, directory)
        others.append(model)
    return others


def as_one(section: TeacherSection, models: list[TaskModel], precision: str) -> Teacher | TeacherEnsemble:
    """Return the only teacher, or an ensemble of all teachers."""
    teachers = [Teacher(model, precision=precision) for model in models]
    return teachers[0] if len(teachers) == 1 else TeacherEnsemble(teachers, section.shares, dtype="float32")
