"""Makes a checked configuration from a YAML file, flags and `--set` strings, and writes one as YAML."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, TypeVar

from tinybert_tf.config.build import SectionBuilder
from tinybert_tf.config.overrides import Overrides
from tinybert_tf.config.rules import SettingError
from tinybert_tf.config.strict_yaml import format_yaml, parse_yaml
from tinybert_tf.errors import InputError

T = TypeVar("T")

_NO_FLAGS: Mapping[str, Any] = types.MappingProxyType({})


class MissingKeysError(InputError):
    """Required keys were given nowhere; `keys` are their dotted names."""

    def __init__(self, source: str, keys: Sequence[str]) -> None:
        super().__init__(f"{source}missing keys: {', '.join(keys)}")
        self.keys = tuple(keys)


def load_config(
    cls: type[T] | Callable[[Set[str]], type[T]],
    path: str | Path | None,
    flags: Mapping[str, Any] = _NO_FLAGS,
    settings: Sequence[str] = (),
) -> T:
    """Return a `cls` (such as `DistillConfig`) from a file, `flags` and `settings`; later values override earlier ones.

    `cls` may be a function that chooses the class by the top-level keys that have a value. `flags` maps dotted keys to
    values (None is YAML's null) or to text that is read by the key's type; a flag for `train.X` also overrides X in
    every stage of the file. `settings` are `a.b=value` with the value in YAML. A number from 0 stands for an item of a
    list (`stages.0.epochs`). If `cls` has a key `base`, it names a file, and the keys beside it override the file's.

    Raises:
        InputError: a value cannot be used; one line names the file, the key, the value and what was expected.
        MissingKeysError: required keys are missing; it names all of them.
    """
    plain, file = ({}, "") if path is None else (_read_mapping(Path(path)), f"{path}: ")
    pairs = [_split_setting(setting) for setting in settings]
    if not isinstance(cls, type):
        every = [*plain.items(), *((key.partition(".")[0], value) for key, value in [*flags.items(), *pairs])]
        cls = cls({key for key, value in every if value is not None})
    if plain.get("base") is not None and "base" in {each.name for each in dataclasses.fields(cls)}:
        base = str(plain.pop("base"))
        plain, file = _laid_over(_read_mapping(Path(base)), plain), f"{path} over {base}: "
    _clear_stages(plain, flags)
    given = [(key, value, "") for key, value in flags.items()]
    given += [(*pair, "--set ") for pair in pairs]
    return build_config(cls, plain, file, given)


def build_config(cls: type[T], plain: dict[str, Any], source: str, given: Sequence[tuple[str, Any, str]] = ()) -> T:
    """Return a `cls` from a plain mapping (changed in place) and the keys of `given`, which override it in turn.

    Messages about the mapping begin with `source`; each given key has its value and a source of its own. Raises the
    errors of `load_config`.
    """
    factories = {each.name: each.default_factory for each in dataclasses.fields(cls)}  # type: ignore[arg-type]
    defaults = {name: _to_plain(make()) for name, make in factories.items() if callable(make)}
    overrides = Overrides(plain, source, defaults)
    builder = SectionBuilder(cls)
    try:
        for key, value, giver in given:
            overrides.set(key, value, giver)
        for name, default in defaults.items():
            if isinstance(default, Mapping) and name in plain and isinstance(plain[name], Mapping | None):
                plain[name] = _laid_over(default, plain[name] or {})
        config = builder.section(cls, plain, "")
    except SettingError as error:
        raise InputError(f"{overrides.source(error.key)}{error}") from error
    if builder.missing:
        raise MissingKeysError(source, builder.missing)
    return config


def dump_config(config: Any) -> str:
    """Return a configuration as YAML that `load_config` reads back equal; keys without a value are left out."""
    return format_yaml(_to_plain(config))


def _read_mapping(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected a YAML configuration, got a file that is not text in UTF-8") from error
    except OSError as error:
        raise InputError(
            f"{path}: expected a YAML configuration, got a path that cannot be read ({error.strerror})"
        ) from error
    plain = parse_yaml(text, str(path))
    if not isinstance(plain, dict):
        found = "an empty file" if plain is None else f"a {type(plain).__name__}"
        raise InputError(f"{path}: expected a YAML mapping of configuration keys, got {found}")
    return plain


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with the keys of both, sections merged likewise; the second one overrides the first."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(below.get(key), Mapping)
        merged[key] = _laid_over(below[key], value) if both else value
    return merged


def _split_setting(setting: str) -> tuple[str, Any]:
    key, equals, value = setting.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--set {setting!r}: expected KEY=VALUE, such as train.epochs=3")
    return key.strip(), parse_yaml(value, f"--set {key.strip()}")


def _clear_stages(plain: dict[str, Any], flags: Mapping[str, Any]) -> None:
    stages = plain.get("stages")
    for stage in stages if isinstance(stages, list) else []:
        for flag in flags:
            section, _, key = flag.partition(".")
            if section == "train" and isinstance(stage, dict):
                stage.pop(key, None)


def _to_plain(value: Any) -> Any:
    if hasattr(value, "to_shorthand"):
        return _to_plain(value.to_shorthand())
    if dataclasses.is_dataclass(value):
        pairs = ((each.name, getattr(value, each.name)) for each in dataclasses.fields(value))
        return {name: _to_plain(item) for name, item in pairs if item is not None}
    if isinstance(value, list | tuple):
        return [_to_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _to_plain(item) for name, item in value.items()}
    return value
