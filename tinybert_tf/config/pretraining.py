"""The configuration of a pretraining on raw text."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, Any

from tinybert_tf.config.models import StudentSection, TeacherSection
from tinybert_tf.config.rules import (
    CheckedSection,
    Count,
    LayerPairs,
    MaxLength,
    Projections,
    Rule,
    SettingError,
    is_number,
)
from tinybert_tf.config.schema import LossSection, Train, inside_losses

Files = Annotated[tuple[str, ...], Rule("at least one file", lambda v: isinstance(v, tuple) and v != () and all(v))]
Probability = Annotated[float, Rule("a number > 0 and < 1", lambda v: is_number(v) and 0 < v < 1)]


@dataclass(frozen=True)
class CorpusSection(CheckedSection):
    """The raw text: UTF-8, one sentence a line, an empty line between documents.

    `files`: the training files. `dev`: a file for evaluation only. `max_length`: the most tokens of a row, [CLS] and
    [SEP] included. `mask_probability`: the fraction of a row's tokens to predict, in (0, 1). `whole_word`: whether all
    pieces of a word are masked together.
    """

    files: Files
    dev: str | None = None
    max_length: MaxLength = 128
    mask_probability: Probability = 0.15
    whole_word: bool = False


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(CheckedSection):
    """A pretraining on raw text: of a masked LM, or with a `teacher` a general distillation.

    `model`: a directory to go on from, or a new model's sizes; with a teacher, as `student` of a distillation.
    `tokenizer`: a new model's tokenizer; by default the directory's or the teacher's. `next_sentence`: whether rows
    have two segments, and, without a teacher, whether the model predicts that the second follows the first; by default
    true for new models and with a teacher. `head_only`: whether the encoder stays as it is. `losses`, `layer_map`,
    `projections`: with a teacher, as in a stage. `checkpoint_every`: the number of steps after which the dev file is
    evaluated and everything that a restart needs is saved.
    """

    model: StudentSection = field(default_factory=StudentSection)
    teacher: TeacherSection | None = None
    tokenizer: str | None = None
    corpus: CorpusSection
    next_sentence: bool | None = None
    head_only: bool = False
    train: Train = field(default_factory=lambda: Train(learning_rate=1e-4))
    losses: tuple[LossSection, ...] = field(default_factory=inside_losses)
    layer_map: LayerPairs = "uniform"
    projections: Projections = "shared"
    checkpoint_every: Count = 1000
    out: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.train.patience is not None:
            raise SettingError(
                "train.patience", f"expected none, since pretraining runs to its last step, got {self.train.patience}"
            )
        if self.train.batch_tokens is not None:
            raise SettingError(
                "train.batch_tokens", f"expected train.batch_size in pretraining, got {self.train.batch_tokens} tokens"
            )
        if self.head_only and (self.teacher is not None or self.model.dir is None):
            raise SettingError("head_only", "expected a model.dir whose encoder is kept, and no teacher, with true")
        if self.teacher is not None and self.tokenizer is not None:
            raise SettingError(
                "tokenizer", f"expected none beside a teacher, whose tokenizer is used, got {self.tokenizer!r}"
            )
        if self.teacher is not None and (self.teacher.others or self.teacher.shares):
            raise SettingError("teacher.others", "expected none: a general distillation has one teacher")
        if self.teacher is None and self.model.size is not None:
            raise SettingError(
                "model.size", f"expected none without a teacher, whose shares it is, got {self.model.size!r}"
            )
        if self.teacher is None and self.model.dir is None and self.model.preset is None:
            raise SettingError(
                "model", "expected a preset or a dir, or a teacher whose sizes it takes, got none of them"
            )
        if self.teacher is None and self.model.init not in ("auto", "random"):
            raise SettingError("model.init", f"expected auto or random without a teacher, got {self.model.init!r}")
        self._refuse_ignored()

    def _refuse_ignored(self) -> None:
        """Refuse values that nothing would read: some keys are for the masked LM, others for a distillation."""
        section: Any = self
        prefix, names, why = "", ["losses", "layer_map", "projections"], "without a teacher"
        if self.teacher is not None:
            section, prefix, names = self.corpus, "corpus.", ["mask_probability", "whole_word"]
            why = "beside a teacher, which needs no masked tokens"
        for each in dataclasses.fields(section):
            default = each.default if each.default is not dataclasses.MISSING else each.default_factory
            if each.name in names and getattr(section, each.name) != (default() if callable(default) else default):
                raise SettingError(
                    f"{prefix}{each.name}", f"expected no value {why}, got {getattr(section, each.name)!r}"
                )
