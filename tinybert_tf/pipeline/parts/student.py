"""Making the student of a config: its size, its first weights, and the check that it fits its teacher."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinybert_tf import features
from tinybert_tf.checkpoints.directory import resolve_directory
from tinybert_tf.checkpoints.formats import MODEL_FILES
from tinybert_tf.checkpoints.hf_directory import CONFIG_FILE, config_path, read_config
from tinybert_tf.config.models import MEDIUM, CutSection, StudentSection
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer, load_tokenizer
from tinybert_tf.data.tokenizers.tokenizer_files import TOKENIZER_FILES
from tinybert_tf.distillation.layer_map import LayerMap
from tinybert_tf.errors import InputError
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.models.cut.student import Cut, check_cut, cut_student
from tinybert_tf.models.encoder.encoder import TransformerEncoder
from tinybert_tf.models.heads.task_model import TaskModel
from tinybert_tf.models.heads.token_heads import TokenModel
from tinybert_tf.models.layer_copy import copy_layers
from tinybert_tf.models.pretrained import PretrainedModel
from tinybert_tf.models.sizes import named_size
from tinybert_tf.pipeline.parts.stages import Stage

logger = logging.getLogger(__name__)

SIZES = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size")
WIDTHS = ("hidden_size", "num_attention_heads", "intermediate_size")


def student_config(section: StudentSection, teacher: EncoderConfig, key: str = "student") -> EncoderConfig:
    """Return the student's config: the sizes of a preset or a named size, then the config's own.

    The named size is `medium`, half of the teacher's layers, if there is none. All other fields are the teacher's.
    `key` is the section's key in messages.

    Raises:
        InputError: the preset is unknown, the heads do not divide the width, or sizes are given beside a directory,
            which has its own.
    """
    sizes = {name: getattr(section, name) for name in SIZES if getattr(section, name) is not None}
    if section.dir is not None:
        if sizes:
            raise InputError(f"{key}.{next(iter(sizes))} is given beside {key}.dir, which has its own sizes.")
        directory = resolve_directory(section.dir, [CONFIG_FILE])
        return EncoderConfig.from_dict(read_config(directory), source=str(config_path(directory)))
    if section.preset is not None:
        preset = EncoderConfig.from_preset(section.preset)
        sizes = {**{name: getattr(preset, name) for name in SIZES}, **sizes}
    else:
        sizes = {**named_size(section.size or MEDIUM, teacher), **sizes}
    has_own_heads = not sizes.keys().isdisjoint({"hidden_size", "num_attention_heads"})
    try:
        return dataclasses.replace(teacher, **sizes, head_dim=None if has_own_heads else teacher.head_dim)
    except InputError as error:
        raise InputError(f"{key}.{error}") from None


def resolved_init(section: StudentSection, student: EncoderConfig, teacher: EncoderConfig, key: str = "student") -> str:
    """Return the source of the first weights: `dir`, `cut`, `layers` or `random`; `auto` is `cut` if possible.

    `key` is the section's key in messages.

    Raises:
        InputError: `layers` is given for different widths, `cut` for a student that is larger than its teacher, or an
            `init` beside a directory's weights.
    """
    if section.dir is not None:
        if section.init != "auto":
            raise InputError(f"{key}.init={section.init!r} is given beside {key}.dir, whose weights it starts from.")
        return "dir"
    if section.init == "auto":
        return "random" if _why_not_cut(student, teacher) else "cut"
    if section.init == "cut" and (why := _why_not_cut(student, teacher)):
        raise InputError(f"{key}.{why}")
    different = [name for name in WIDTHS if getattr(student, name) != getattr(teacher, name)]
    if section.init == "layers" and different:
        name = different[0]
        raise InputError(
            f"{key}.init='layers' copies the teacher's layers, and {name} differs: student {getattr(student, name)}, "
            f"teacher {getattr(teacher, name)}; use init 'cut' or 'random', or the teacher's {name}."
        )
    return section.init


def _why_not_cut(student: EncoderConfig, teacher: EncoderConfig) -> str:
    """Return the message of `check_cut`; empty if the student can be cut from its teacher."""
    try:
        check_cut(student, teacher)
    except InputError as error:
        return str(error)
    return ""


def student_tokenizer(
    section: StudentSection, teachers: Tokenizer, stages: Sequence[Stage], teacher_cache: str
) -> Tokenizer:
    """Return the tokenizer of the student's texts: that of its directory, else the teacher's.

    Raises:
        InputError: they differ, and a stage compares more than predictions or `teacher_cache` is off.
    """
    if section.dir is None:
        return teachers
    directory = resolve_directory(section.dir, [*MODEL_FILES, *TOKENIZER_FILES])
    difference = _other_vocabulary(directory, teachers)
    if not difference:
        return teachers
    for stage in stages:
        inside = next((loss for loss in stage.losses if set(loss.feature_names) != {features.LOGITS}), None)
        if inside is not None:
            raise InputError(
                f"{difference}; both must read the same token ids for {inside.name} of stage {stage.name!r}: only "
                f"losses of predictions compare models with different tokenizers."
            )
    if teacher_cache == "off":
        raise InputError(f"{difference}; the teacher must run before training: expected teacher_cache auto, got off.")
    return load_tokenizer(directory)


def check_vocabulary(model_dir: str, tokenizer: Tokenizer) -> None:
    """Refuse a tokenizer whose vocabulary is not that of a model's directory.

    Raises:
        InputError: the vocabularies differ.
    """
    directory = resolve_directory(model_dir, TOKENIZER_FILES)
    if _other_vocabulary(directory, tokenizer):
        raise InputError(f"tokenizer: another vocabulary than the one in {directory}, whose token ids the model knows.")


def check_two_tokenizers(section: StudentSection, teacher: TaskModel) -> None:
    """Refuse a teacher that predicts for each token, as a student with another tokenizer has other tokens.

    Raises:
        InputError: the teacher predicts for each token.
    """
    if isinstance(teacher, TokenModel):
        raise InputError(
            f"student {section.dir}: has another tokenizer than its teacher, and a {type(teacher).__name__} predicts "
            f"for each token; both must read the same token ids."
        )


def build_student(section: StudentSection, teacher: TaskModel, tokenizer: Tokenizer, layer_map: Any) -> TaskModel:
    """Make the student with its first weights and the teacher's labels.

    Raises:
        InputError: its vocabulary, its labels or their order differ from the teacher's; or as `student_config` and
            `resolved_init`.
    """
    config = student_config(section, teacher.config)
    init = resolved_init(section, config, teacher.config)
    if init == "dir":
        return _load_student(str(section.dir), teacher, tokenizer)
    student = teacher.with_encoder(config, name="student")
    _first_weights(student, teacher, init, section, layer_map)
    return student


def build_general_student(
    section: StudentSection, teacher: TransformerEncoder, tokenizer: Tokenizer, layer_map: Any
) -> TransformerEncoder:
    """Make the student of a general distillation with its first weights; it has a pooler if its teacher has one.

    Raises:
        InputError: its vocabulary is not the teacher's; or as `student_config` and `resolved_init`.
    """
    config = student_config(section, teacher.config, "model")
    init = resolved_init(section, config, teacher.config, "model")
    if init == "dir":
        return TransformerEncoder.from_pretrained(_student_directory(str(section.dir), tokenizer), name="student")
    student = TransformerEncoder(config, add_pooler=teacher.pooler is not None, name="student")
    _first_weights(student, teacher, init, section, layer_map)
    return student


def _first_weights(
    student: PretrainedModel, teacher: PretrainedModel, init: str, section: StudentSection, layer_map: Any
) -> None:
    """Copy layers if `init` is `layers`; log why `auto` did not choose `cut`."""
    if init == "random" and section.init == "auto":
        logger.info(f"student: starts from random weights: {_why_not_cut(student.config, teacher.config)}")
    if init != "layers":
        return
    pairs = LayerMap.resolve(layer_map, student.num_hidden_layers, teacher.num_hidden_layers).one_to_one()
    copy_layers(student, teacher, pairs)
    logger.info(f"student: starts from the teacher's layers {[layer for _, layer in pairs]}")


def cut_pairs(layer_map: Any, student_layers: int, teacher_layers: int) -> list[tuple[int, int]]:
    """Return the layers of a cut, `(student, teacher)`: those of a map, or of the uniform map.

    The uniform map is taken where the other one leaves a layer of the student out or is not ascending.
    """
    pairs = LayerMap.resolve(layer_map, student_layers, teacher_layers).one_to_one()
    layers = [theirs for _, theirs in pairs]
    if [ours for ours, _ in pairs] != list(range(1, student_layers + 1)) or layers != sorted(set(layers)):
        return list(LayerMap.uniform(student_layers, teacher_layers).layer_pairs())
    return list(pairs)


def cut_from_teacher(
    student: TransformerEncoder | TaskModel,
    teacher: TransformerEncoder | TaskModel,
    layer_map: Any,
    batches: Sequence[Mapping[str, Any]],
    section: CutSection,
) -> Cut:
    """Fit the student's weights to its teacher's activations on `batches`; see `cut_student`.

    Each of its layers is cut from its teacher layer in `cut_pairs`.
    """
    pairs = cut_pairs(layer_map, student.num_hidden_layers, teacher.num_hidden_layers)
    cut = cut_student(
        student, teacher, pairs, batches, basis=section.basis, ridge=section.ridge, max_tokens=section.max_tokens
    )
    held = ", ".join(f"{1 - missed:.0%}" for missed in cut.unexplained.values())
    logger.info(
        f"student: cut from the teacher's layers {[layer for _, layer in pairs]} on "
        f"{sum(len(batch['input_ids']) for batch in batches)} texts; before training it explains {held} of the "
        f"variance of the embeddings and these layers"
    )
    return cut


def _load_student(path: str, teacher: TaskModel, tokenizer: Tokenizer) -> TaskModel:
    directory = _student_directory(path, tokenizer)
    student = type(teacher).from_pretrained(directory, name="student")
    if not student.has_loaded_head or student.predicts != teacher.predicts:
        return teacher.with_encoder(student.encoder, name="student")
    ours, theirs = student.label_names, teacher.label_names
    if ours != theirs and not (len(ours) == len(theirs) and (student.labels.are_default or teacher.labels.are_default)):
        what = "in another order" if sorted(ours) == sorted(theirs) else "other ones"
        raise InputError(
            f"student {path}: its labels {ours} are {what} than the teacher's {theirs}; they must be equal."
        )
    return student


def _student_directory(path: str, tokenizer: Tokenizer) -> Path:
    """Find the directory of a student, and refuse one with another vocabulary than the teacher's."""
    directory = resolve_directory(path, [*MODEL_FILES, *TOKENIZER_FILES])
    difference = _other_vocabulary(directory, tokenizer)
    if difference:
        raise InputError(f"{difference}; both must read the same token ids.")
    return directory


def _other_vocabulary(directory: Path, tokenizer: Tokenizer) -> str:
    """Describe how a directory's vocabulary, if it has one, differs from the teacher's; empty if it does not."""
    if not any((directory / name).exists() for name in ("tokenizer.json", "vocab.txt", "vocab.json")):
        return ""
    ours, theirs = load_tokenizer(directory).vocabulary(), tokenizer.vocabulary()
    if ours == theirs:
        return ""
    differing = sum(theirs.get(token) != number for token, number in ours.items())
    return (
        f"student {directory}: its vocabulary differs from the teacher's ({len(ours)} and {len(theirs)} tokens, "
        f"{differing} of the student's with another id or none)"
    )
