"""Reads a command line; an error is one line, with the nearest known word."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

from tinybert_tf.cli.verb import Verb

# argparse's own takes -1e-5 for a flag, and then reports a missing value.
NEGATIVE_NUMBER = re.compile(r"-(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$|-inf$")


class OneLineParser(argparse.ArgumentParser):
    """A parser that reports an error in one line, as all of this command line does."""

    def __init__(self, prog: str, description: str = "") -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)
        self._negative_number_matcher = NEGATIVE_NUMBER

    def error(self, message: str) -> NoReturn:
        """Print the error and exit with status 2."""
        self.exit(2, f"tinybert: {message.removeprefix('argument ')} (see {self.prog} --help)\n")

    def refuse_unknown(self, unknown: Sequence[str]) -> None:
        """Exit with status 2 if unknown arguments are left; suggest the nearest flag."""
        flags = [part.partition("=")[0] for part in unknown if part.startswith("-") and " " not in part]
        if flags:
            self.error(f"{self.prog} has no flag {flags[0]}{_guess(flags[0], self._option_string_actions)}")
        if unknown:
            self.error(f"{self.prog} takes no more arguments, got {' '.join(unknown)!r}")


def overview(verbs: Mapping[str, Verb]) -> str:
    """The help of `tinybert` itself: its verbs."""
    width = max(map(len, verbs))
    return "\n".join((
        "usage: tinybert VERB [ARGUMENT ...]",
        "",
        "Make a BERT small: distil it into a student, compress it, export it.",
        "",
        *(f"    {name:{width}}  {verb.help}" for name, verb in verbs.items()),
        "",
        "tinybert VERB --help lists the arguments of a verb and their defaults; tinybert --version prints the version.",
    ))  # fmt: skip


def find_verb(name: str, verbs: Mapping[str, Verb]) -> Verb:
    """The verb of a name; an unknown name exits with status 2."""
    if name not in verbs:
        what = "flag" if name.startswith("-") else "verb"
        OneLineParser(prog="tinybert").error(
            f"tinybert has no {what} {name}{_guess(name, [*verbs, '--help', '--version'])}"
        )
    return verbs[name]


def parse_arguments(verb: Verb, given: Sequence[str]) -> argparse.Namespace:
    """The verb's arguments, including texts after a flag, which argparse does not take."""
    parser = OneLineParser(prog=f"tinybert {verb.name}", description=verb.help)
    verb.add_to(parser)
    parser.set_defaults(verb=verb.name)
    texts = next((flag.attribute for flag in verb.flags if flag.nargs == "*"), None)
    flags_end = list(given).index("--") if texts and "--" in given else len(given)
    arguments, rest = parser.parse_known_args(given[:flags_end])
    if texts is None or any(part.startswith("-") and " " not in part for part in rest):
        parser.refuse_unknown(rest)
        return arguments
    setattr(arguments, texts, getattr(arguments, texts) + rest + list(given[flags_end + 1 :]))
    return arguments


def _guess(found: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` with a similar word, or one whose initials these are (`--lr`); else empty."""
    words = list(known)
    short = [word for word in words if _initials(word) == found.lstrip("-")]
    near = short or difflib.get_close_matches(found, words, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _initials(word: str) -> str:
    return "".join(part[:1] for part in word.strip("-").split("-"))
