"""The configuration of a pretraining on raw text."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from tinybert_tf.config.rules import CheckedSection, SettingError
from tinybert_tf.config.schema import LossSection, StudentSection, TeacherSection, Train, inside_losses


@dataclass(frozen=True)
class CorpusSection(CheckedSection):
    """The raw text: UTF-8, one sentence a line, an empty line between documents.

    `files`: what is trained on. `dev`: a file that is only measured on. `max_length`: tokens of a row, [CLS] and [SEP]
    included. `mask_probability`: fraction of a row's tokens to predict, in (0, 1). `whole_word`: all pieces of a word
    are masked together.
    """

    files: tuple[str, ...]
    dev: str | None = None
    max_length: int = 128
    mask_probability: float = 0.15
    whole_word: bool = False


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(CheckedSection):
    """A pretraining on raw text: masked-LM, and with a `teacher` general distillation.

    `model`: a directory to go on from, or a new model's sizes; with a teacher, as `student` of a distillation.
    `tokenizer`: a new model's; by default the directory's or the teacher's own. `next_sentence`: rows of two segments,
    and without a teacher also the prediction whether the second follows; by default for new models and with a teacher.
    `head_only`: the encoder stays as it is. `losses`, `layer_map`, `projections`: with a teacher, as in a stage.
    `checkpoint_every`: steps after which the dev file is measured and everything saved that a restart wants.
    """

    model: StudentSection = field(default_factory=StudentSection)
    teacher: TeacherSection | None = None
    tokenizer: str | None = None
    corpus: CorpusSection
    next_sentence: bool | None = None
    head_only: bool = False
    train: Train = field(default_factory=lambda: Train(learning_rate=1e-4))
    losses: tuple[LossSection, ...] = field(default_factory=inside_losses)
    layer_map: str | tuple[tuple[int, int], ...] = "uniform"
    projections: str = "shared"
    checkpoint_every: int = 1000
    out: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.train.patience is not None:
            raise SettingError("train.patience", f"{self.train.patience!r}: pretraining runs to its last step")
        if self.train.batch_tokens is not None:
            raise SettingError("train.batch_tokens", f"{self.train.batch_tokens}: pretraining counts batch_size rows")
        if self.head_only and (self.teacher is not None or self.model.dir is None):
            raise SettingError("head_only", "true wants a model.dir whose encoder is kept, and no teacher")
        if self.teacher is not None and self.tokenizer is not None:
            raise SettingError("tokenizer", f"{self.tokenizer!r} is given beside a teacher, whose tokenizer is used")
        if self.teacher is not None and (self.teacher.others or self.teacher.shares):
            raise SettingError("teacher.others", "a general distillation has one teacher")
        if self.teacher is None and self.model.dir is None and self.model.preset is None:
            raise SettingError("model", "wants a preset or a dir, or a teacher to be made from")
        if self.teacher is None and self.model.init not in ("auto", "random"):
            raise SettingError("model.init", f"{self.model.init!r} wants a teacher")
        self._refuse_ignored()

    def _refuse_ignored(self) -> None:
        """Refuse values that nothing would read: there are keys of the masked-LM task, and keys of a distillation."""
        section: Any = self
        prefix, names, why = "", ["losses", "layer_map", "projections"], "wants a teacher"
        if self.teacher is not None:
            section, prefix, names = self.corpus, "corpus.", ["mask_probability", "whole_word"]
            why = "is given beside a teacher, from whom is learnt without masked tokens"
        for each in dataclasses.fields(section):
            default = each.default if each.default is not dataclasses.MISSING else each.default_factory
            if each.name in names and getattr(section, each.name) != (default() if callable(default) else default):
                raise SettingError(f"{prefix}{each.name}", f"{getattr(section, each.name)!r} {why}")
