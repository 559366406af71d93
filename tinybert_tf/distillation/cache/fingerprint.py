"""A hash of everything that a teacher's features depend on: classes, settings, weights, rounding; not names."""

from __future__ import annotations

import functools
import hashlib
import json
import types
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

# Libraries whose code does not change within a release: the config of their classes describes the computation.
LIBRARIES = ("keras", "tinybert_tf", "tensorflow", "builtins")
# Entries of a serialized layer that do not change its computation.
NOT_CONTENT = ("trainable", "build_config", "compile_config")
# Attributes that Keras adds to a model when it is compiled and run.
OF_RUNNING = {
    *("optimizer", "history", "stop_training", "stop_evaluating", "stop_predicting", "accumulation_steps"),
    *("_compile_config", "_compiled_trainable_state", "_eval_epoch_iterator", "_traced_with"),
}


def teacher_fingerprint(teacher: keras.Model) -> str:
    """A hash of a model's architecture, settings, rounding and weights, in their order and in their precision.

    Two models have the same hash if they compute the same from the same inputs in the same way; the names of layers do
    not count. For a class of the user the code and the attributes count, whether or not it has a `get_config`.
    """
    layers = teacher._flatten_layers()
    digest = hashlib.sha256(_Description(layers).text().encode())
    for variable in teacher.weights:
        _add_array(digest, ops.convert_to_numpy(variable))
    return digest.hexdigest()


class _Description:
    """All layers of a model by class, dtypes and settings; a layer's place among them replaces its name."""

    def __init__(self, layers: list[keras.layers.Layer]) -> None:
        self._layers = layers
        self._place_of_name = {layer.name: f"layer {place}" for place, layer in reversed([*enumerate(layers)])}
        self._place_of = {id(layer): f"layer {place}" for place, layer in enumerate(layers)}
        self._begun: dict[int, str] = {}

    def text(self) -> str:
        """The description as JSON."""
        return json.dumps([self._layer(layer) for layer in self._layers], sort_keys=True)

    def _layer(self, layer: keras.layers.Layer) -> list[Any]:
        cls = type(layer)
        has_config = cls.get_config is not keras.layers.Layer.get_config
        config = self._without_names(_config_of(layer)) if has_config else None
        settings = [] if has_config and _is_known(cls) else self._attributes(layer)
        rounding = getattr(layer, "fake_quantizer", None)
        return [
            cls.__qualname__,
            self._code(cls),
            layer.dtype_policy.name,
            config,
            settings,
            None if rounding is None else rounding.get_config(),
        ]

    def _attributes(self, owner: Any) -> dict[str, Any]:
        keras_own = _keras_attributes() if isinstance(owner, keras.layers.Layer) else frozenset()
        return {
            name: self._content(value)
            for name, value in vars(owner).items()
            if name not in keras_own and not name.startswith("_self_")
        }

    def _content(self, value: Any) -> Any:
        """A value as JSON; an object that computes nothing (an initializer, an optimizer) is its class."""
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if id(value) in self._place_of:
            return self._place_of[id(value)]
        if isinstance(value, Mapping):
            return {str(key): self._content(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._content(each) for each in value]
        if isinstance(value, set | frozenset):
            return sorted(json.dumps(self._content(each), sort_keys=True) for each in value)
        if id(value) in self._begun:
            return self._begun[id(value)]
        self._begun[id(value)] = f"object {len(self._begun)}"
        return self._object(value)

    def _object(self, value: Any) -> Any:
        if isinstance(value, types.MethodType):
            return self._content(value.__func__)
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return [value.__qualname__, self._code(value)]
        if isinstance(value, bytes | np.ndarray | np.generic) or ops.is_tensor(value) or hasattr(value, "numpy"):
            return _digest_of(value)
        if _is_known(type(value)) or not hasattr(value, "__dict__"):
            return type(value).__qualname__
        return [type(value).__qualname__, self._code(type(value)), self._attributes(value)]

    def _code(self, cls: type) -> list[Any]:
        """The code of a class and its bases, except those of known libraries."""
        foreign = (each for each in cls.__mro__ if not _is_known(each))
        return [self._content(dict(_functions(each))) for each in foreign]

    def _function(self, function: types.FunctionType) -> list[Any]:
        """A function's instructions, its defaults, and the values of its closure."""
        if (function.__module__ or "").partition(".")[0] in LIBRARIES:
            return [function.__module__, function.__qualname__]
        code = function.__code__
        around = {name: function.__globals__[name] for name in code.co_names if name in function.__globals__}
        around = {name: value for name, value in around.items() if not isinstance(value, types.ModuleType | type)}
        closed_over = [_contents_of(cell) for cell in function.__closure__ or ()]
        return [
            _instructions(code),
            self._content([function.__defaults__, function.__kwdefaults__, closed_over, around]),
        ]

    def _without_names(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._place_of_name.get(value, value)
        if isinstance(value, Mapping):
            kept = {name: each for name, each in value.items() if name not in NOT_CONTENT}
            return {self._without_names(str(name)): self._without_names(each) for name, each in kept.items()}
        if isinstance(value, list | tuple):
            return [self._without_names(each) for each in value]
        return value if value is None or isinstance(value, bool | int | float) else self._content(value)


@functools.cache
def _keras_attributes() -> frozenset[str]:
    """The attributes that every model has, whatever it computes."""
    return frozenset(OF_RUNNING | vars(keras.Model(name="bare")).keys())


def _is_known(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in LIBRARIES


def _functions(cls: type) -> Iterator[tuple[str, types.FunctionType]]:
    for name, value in vars(cls).items():
        plain = getattr(value, "fget", None) or getattr(value, "__func__", value)
        if isinstance(plain, types.FunctionType):
            yield name, plain


def _instructions(code: types.CodeType) -> list[Any]:
    return [code.co_code.hex(), code.co_names, [_constant(each) for each in code.co_consts]]


def _constant(value: Any) -> Any:
    if isinstance(value, types.CodeType):
        return _instructions(value)
    # A set has another order in every process.
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)


def _contents_of(cell: types.CellType) -> Any:
    """The value of a closure's cell; None if it has none yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _config_of(layer: keras.layers.Layer) -> Any:
    """The config of a layer; None if Keras cannot make one."""
    try:
        return layer.get_config()
    except NotImplementedError:
        return None


def _digest_of(value: Any) -> str:
    digest = hashlib.sha256()
    _add_array(digest, np.frombuffer(value, np.uint8) if isinstance(value, bytes) else ops.convert_to_numpy(value))
    return digest.hexdigest()


def _add_array(digest: Any, values: Any) -> None:
    values = np.ascontiguousarray(values)
    digest.update(f"{values.dtype} {values.shape}".encode())
    digest.update(values.view(np.uint8).data if values.ndim else values.tobytes())
