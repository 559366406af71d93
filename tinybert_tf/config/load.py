"""From a YAML file, flags and `--set` strings to a checked configuration, and back to YAML."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tinybert_tf.config.build import SectionBuilder
from tinybert_tf.config.schema import SettingError
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
    cls: type[T], path: str | Path | None, flags: Mapping[str, Any] = _NO_FLAGS, settings: Sequence[str] = ()
) -> T:
    """Return a `cls` (`DistillConfig`, `FinetuneConfig`) from a file, then `flags`, then `settings`; the later wins.

    `flags` maps dotted keys to values, or to text that is read by the key's type; None takes the file's value away. A
    flag for `train.X` also wins over X in every stage of the file. `settings` are `a.b=value` with the value in YAML.
    Items of lists go by number from 0 (`stages.0.epochs`). Raises InputError, one line with the file, the key, what was
    found and what is accepted; MissingKeysError names all missing keys at once.
    """
    file = "" if path is None else f"{path}: "
    plain = {} if path is None else _read_mapping(Path(path))
    overrides = [(key, value, "") for key, value in flags.items()]
    overrides += [(*_split_setting(setting), "--set ") for setting in settings]
    sources = {key: source for key, _, source in overrides}
    builder = SectionBuilder(cls)
    try:
        _clear_stages(plain, flags)
        for key, value, _ in overrides:
            _override(cls, plain, key, value)
        config = builder.section(cls, plain, "")
    except SettingError as error:
        raise InputError(f"{_source(error.key, sources, file)}{error}") from error
    if builder.missing:
        raise MissingKeysError(file, builder.missing)
    return config


def dump_config(config: Any) -> str:
    """Return a configuration as YAML that `load_config` reads back equal; keys without a value are left out."""
    return format_yaml(_to_plain(config))


def _read_mapping(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file in UTF-8, a YAML configuration is wanted") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}), a YAML configuration is wanted") from error
    plain = parse_yaml(text, str(path))
    if not isinstance(plain, dict):
        found = "is empty" if plain is None else f"holds a {type(plain).__name__}"
        raise InputError(f"{path}: {found}, a YAML mapping of configuration keys is wanted")
    return plain


def _split_setting(setting: str) -> tuple[str, Any]:
    key, equals, value = setting.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--set {setting!r}: key=value is wanted, such as train.epochs=3")
    return key.strip(), parse_yaml(value, f"--set {key.strip()}")


def _source(key: str, sources: Mapping[str, str], file: str) -> str:
    """Return who gave the value of `key`: an override of it or of the nearest section around it, else the file."""
    parts = key.split(".")
    around = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((sources[outer] for outer in around if outer in sources), file)


def _clear_stages(plain: dict[str, Any], flags: Mapping[str, Any]) -> None:
    stages = plain.get("stages")
    for stage in stages if isinstance(stages, list) else []:
        for flag in flags:
            section, _, key = flag.partition(".")
            if section == "train" and isinstance(stage, dict):
                stage.pop(key, None)


def _override(cls: type, plain: dict[str, Any], key: str, value: Any) -> None:
    parts = key.split(".")
    defaults = {each.name: each.default_factory for each in dataclasses.fields(cls)}
    make_default = defaults.get(parts[0], dataclasses.MISSING)
    if parts[0] not in plain and make_default is not dataclasses.MISSING:
        plain[parts[0]] = _to_plain(make_default())
    node: Any = plain
    for depth, part in enumerate(parts[:-1], start=1):
        place: Any = _place(node, part, ".".join(parts[:depth]))
        child = node[place] if isinstance(node, list) else node.get(place)
        if child is None:
            child = {}
        elif isinstance(child, str) and isinstance(node, list):
            child = {"name": child}  # a loss that was written as its name alone
        node[place] = child
        node = child
    node[_place(node, parts[-1], key)] = value


def _place(node: Any, part: str, key: str) -> str | int:
    if isinstance(node, dict):
        return part
    if not isinstance(node, list):
        raise SettingError(key, f"there is no such key, {key.rpartition('.')[0]} is {node!r}")
    if not part.isdecimal() or int(part) >= len(node):
        raise SettingError(key, f"there is no item {part!r}, the list has {len(node)}, numbered from 0")
    return int(part)


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
