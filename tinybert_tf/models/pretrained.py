"""Loading and saving Hugging Face directories, for the encoder and every task model."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import keras

from tinybert_tf.checkpoints.assign import LoadReport, assign_tensors, collect_tensors
from tinybert_tf.checkpoints.families import BERT, FAMILIES, family_of_names
from tinybert_tf.checkpoints.formats import open_tensors, resolve_model
from tinybert_tf.checkpoints.hf_directory import config_path, read_config, write_directory
from tinybert_tf.checkpoints.name_tables import TensorName
from tinybert_tf.checkpoints.tensors import Tensors
from tinybert_tf.errors import InputError
from tinybert_tf.input_bounds import bounds_of
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.models.initializer import before_loading, drawing_nothing
from tinybert_tf.models.limits import check_bounds
from tinybert_tf.models.quantization.state import (
    FakeQuantization,
    quantization_of,
    rounded_layers,
    set_state,
    start_rounding_at,
    weight_bits_by_place,
    without_ranges,
)
from tinybert_tf.trainable.trainable_model import TrainableModel

logger = logging.getLogger(__name__)

# The entry of `config.json` that describes how a model's numbers are rounded; transformers ignores it.
FAKE_QUANTIZATION = "fake_quantization"
# The entry of Keras's config that lists the rounding layers and the bits of their weights.
ROUNDED_LAYERS = "rounded_layers"


class SavesPretrained(Protocol):
    """Any tokenizer that can write its own files."""

    def save_pretrained(self, directory: Any) -> Any:
        """Write the tokenizer's files into `directory`."""


def relative_paths(layer: keras.layers.Layer, variables: Iterable[Any]) -> dict[str, Any]:
    """Return the learned variables by their path below `layer`, e.g. `layer_1/attention/query/kernel`."""
    return {variable.path.removeprefix(f"{layer.path}/"): variable for variable in without_ranges(layer, variables)}


class PretrainedModel(TrainableModel):
    """A Keras model that loads from and saves to a Hugging Face model directory.

    A subclass names its Hugging Face `architecture` (BERT's; the classes of other families have like names) and
    `config_argument`, the argument of its constructor that takes an `EncoderConfig`, and implements
    `variables_by_name`, `tensor_names` and `_from_directory`.
    """

    architecture: ClassVar[str]
    config_argument: ClassVar[str]
    has_labels: ClassVar[bool] = False

    config: EncoderConfig
    load_report: LoadReport | None = None

    @property
    def fake_quantizer(self) -> FakeQuantization | None:
        """How the model's numbers are rounded, read from its layers; None if they are not rounded."""
        return quantization_of(self)

    @property
    def is_quantized(self) -> bool:
        """Whether any of the model's numbers are rounded."""
        return bool(rounded_layers(self))

    def get_config(self) -> dict[str, Any]:
        """The layers that round, if any; `from_config` lets the same layers round."""
        bits = weight_bits_by_place(self)
        return {ROUNDED_LAYERS: bits} if bits else {}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Make a randomly initialised model from a `get_config`; ranges of a quantized one must still be assigned."""
        arguments = {name: value for name, value in config.items() if name != ROUNDED_LAYERS}
        arguments[cls.config_argument] = EncoderConfig(**arguments[cls.config_argument])
        model = cls(**arguments)
        start_rounding_at(model, config.get(ROUNDED_LAYERS, {}))
        return model

    def copy(self, **changes: Any) -> Self:
        """Copy the model: same weights, same rounding; `changes` can be `dtype` and `name`.

        It draws nothing from the global random generators, so that later draws do not depend on a copy.
        """
        with drawing_nothing(), before_loading():
            copy = type(self).from_config({**self.get_config(), **changes})
        for ours, theirs in zip(copy.weights, self.weights, strict=True):
            ours.assign(theirs)
        return copy

    def check_inputs(self, inputs: Any) -> None:
        """Refuse token ids, token types and lengths for which the model has no embeddings; see `check_bounds`."""
        bounds = bounds_of(inputs)
        if bounds is not None:
            check_bounds(self.config, bounds)

    @property
    def num_hidden_layers(self) -> int:
        """Number of encoder layers, N."""
        return self.config.num_hidden_layers

    @property
    def num_attention_heads(self) -> int:
        """Number of attention heads in each layer."""
        return self.config.num_attention_heads

    @property
    def encoder_prefix(self) -> str:
        """The prefix of the encoder's tensor names in the files of this class."""
        return ""

    def variables_by_name(self) -> dict[str, Any]:
        """The weights by the names in the checkpoint name tables."""
        raise NotImplementedError

    def tensor_names(self) -> tuple[TensorName, ...]:
        """The table that maps these names to the names of tensors in Hugging Face files."""
        raise NotImplementedError

    def directory_config(self) -> dict[str, Any]:
        """The content of the `config.json` that `save_pretrained` writes."""
        architecture = self.config.family.class_prefix + self.architecture.removeprefix(BERT.class_prefix)
        quantization = self.fake_quantizer
        rounding = {} if quantization is None else {FAKE_QUANTIZATION: quantization.get_config()}
        return {**self.config.to_dict(), "architectures": [architecture], **rounding}

    @classmethod
    def _from_directory(cls, config: EncoderConfig, values: Mapping[str, Any], tensors: Tensors, **kwargs: Any) -> Self:
        """Make a model without loaded weights for a directory's config (`values`: all of `config.json`) and tensors."""
        raise NotImplementedError

    @classmethod
    def from_pretrained(cls, dir_or_hub_id: str | Path, num_labels: int | None = None, **kwargs: Any) -> Self:
        """Load a Hugging Face directory, local or from the Hub: `config.json` and safetensors, one file or sharded.

        Without safetensors it reads `tf_model.h5`, Google's `bert_config.json` and `bert_model.ckpt`, or
        `pytorch_model.bin`, which needs an installed torch.

        `model_type` in `config.json` names the family; without it, the names of the tensors tell. The names of encoder
        tensors may have their family's prefix (`bert.`) or none, and may end in `gamma` and `beta` as in old TensorFlow
        files. Weights that the files do not have (a new head) keep their random initialisation; a log message and
        `load_report` name them and the unused tensors. The directory needs no tokenizer files.

        Args:
            dir_or_hub_id: a directory, a run directory, or a Hub id.
            num_labels: number of classes, for a new head; by default the directory's.
            **kwargs: `dtype` and `name`, as in the constructor.

        Raises:
            InputError: the directory does not exist, its weights are missing or damaged, its family is unknown, an
                encoder tensor is missing, or a shape is wrong.
        """
        if num_labels is not None:
            if not cls.has_labels:
                raise InputError(f"num_labels={num_labels}: {cls.__name__} has no classes.")
            kwargs["num_labels"] = num_labels
        directory = resolve_model(dir_or_hub_id)
        values, source = read_config(directory), str(config_path(directory))
        if values.get("model_type"):
            EncoderConfig.from_dict(values, source)  # refuses a config before the weights are opened
        tensors = open_tensors(directory)
        if read_config(directory) != values:  # another process has replaced the model between the two
            return cls.from_pretrained(dir_or_hub_id, **kwargs)
        values["model_type"] = values.get("model_type") or _model_type(tensors)
        config = EncoderConfig.from_dict(values, source)
        with before_loading():
            model = cls._from_directory(config, values, tensors, **kwargs)
        model.load_report = assign_tensors(model.variables_by_name(), model.tensor_names(), tensors, config.family)
        if FAKE_QUANTIZATION in values:
            entry = f"{source}: {FAKE_QUANTIZATION}"
            set_state(model, FakeQuantization.from_config(values[FAKE_QUANTIZATION], entry))
        if model.load_report.missing:
            logger.warning("%s: %s", directory, model.load_report)
        elif model.load_report.unused:
            logger.info("%s: %s", directory, model.load_report)
        return model

    def save_pretrained(self, directory: str | Path, tokenizer: SavesPretrained | None = None) -> None:
        """Write `config.json`, `model.safetensors` (float32) and the tokenizer's files, if one is given.

        The directory loads with `from_pretrained` here and with `transformers.AutoModel*` under PyTorch.
        """
        tensors = collect_tensors(self.variables_by_name(), self.tensor_names(), prefix=self.encoder_prefix)
        write_directory(Path(directory), self.directory_config(), tensors)
        if tokenizer is not None:
            tokenizer.save_pretrained(directory)


def in_precision(model: PretrainedModel, precision: str) -> PretrainedModel:
    """Return the model if it computes and stores weights in `precision` already, else a copy with cast weights."""
    return model if model.dtype_policy.name == precision else model.copy(dtype=precision)


def _model_type(tensors: Tensors) -> str:
    """Find the family of a directory by its tensors, as its `config.json` has no `model_type`."""
    family = family_of_names(tensors.__contains__)
    if family is None:
        found = ", ".join(tensors.names()[:3]) or "no tensors"
        raise InputError(
            f"{tensors.path}: no known family; the config has no `model_type` and the file has {found}; expected one "
            f"of {', '.join(FAMILIES)}."
        )
    return family.model_type
