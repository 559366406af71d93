"""`Verb` and `Flag`: a name, a table of flags, and the function that runs the verb."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Flag:
    """One argument of a verb: `--name` with a value, a switch (without `metavar`), or a positional argument.

    `key`: the dotted key that it sets in the verb's config. `default`: its default value; a flag with a `key` has the
    config's. `otherwise`: the help's words for a default that is not a single value. `sets`: the value that a switch
    gives its key.
    """

    name: str
    metavar: str | None
    help: str
    key: str = ""
    default: Any = None
    otherwise: str = ""
    type: Callable[[str], Any] = str
    required: bool = False
    nargs: str | None = None
    sets: Any = True

    @property
    def attribute(self) -> str:
        """The name of its attribute in the parsed arguments."""
        return self.name.lstrip("-").replace("-", "_")

    def but(self, **changes: Any) -> Flag:
        """A copy of this flag with some fields changed."""
        return replace(self, **changes)

    def described(self, config: Any) -> str:
        """The help text with the default."""
        from tinybert_tf.config.defaults import default_of

        default = self.default
        if self.metavar is None:
            return f"{self.help} (default: off)"
        if default is None and self.key and config is not None:
            default = default_of(config, self.key)
        said = self.otherwise or ("" if default is None else _written(default))
        return (f"{self.help} (default: {said})" if said else self.help).replace("%", "%%")

    def add_to(self, parser: argparse.ArgumentParser, config: Any = None) -> None:
        """Add this flag to a parser."""
        help = self.described(config)
        if self.metavar is None:
            parser.add_argument(self.name, action="store_const", const=self.sets, default=False, help=help)
            return
        options: dict[str, Any] = {"metavar": self.metavar, "help": help, "type": self.type, "default": self.default}
        if self.nargs is not None:
            options["nargs"] = self.nargs
        if self.name.startswith("-"):
            options["required"] = self.required
        parser.add_argument(self.name, **options)


def _written(value: Any) -> str:
    """A value as it is typed on a command line."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


@dataclass(frozen=True)
class Verb:
    """A verb of the command line: its name, one line of help, its flags, and the function that runs it.

    `config_class`: the module and the name of its configuration's class; the configuration is made from a file, `--set`
    and the flags with a key. Without one the verb takes neither. Listing the verbs does not import it.
    """

    name: str
    help: str
    flags: tuple[Flag, ...]
    run: Callable[[argparse.Namespace], None]
    config_class: str = ""

    @property
    def config(self) -> Any:
        """The class of the verb's configuration; None if it has none."""
        module, _, name = self.config_class.rpartition(".")
        return getattr(importlib.import_module(f"tinybert_tf.config.{module}"), name) if module else None

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Add all flags of the verb to a parser."""
        config = self.config
        if config is not None:
            parser.add_argument("config", nargs="?", metavar="CONFIG", help="YAML file; flags and --set win over it")
        for flag in self.flags:
            flag.add_to(parser, config)
        if config is not None:
            parser.add_argument(
                "--set", action="append", default=[], metavar="KEY=VALUE", dest="settings",
                help="set any key of the config, such as stages.0.epochs=5; may be repeated",
            )  # fmt: skip
