"""How a command line is read: errors in one line, numbers that are no flags, texts after flags."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

NEGATIVE_NUMBER = re.compile(r"-(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$|-inf$")


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, as every other error here."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # argparse's own takes -1e-5 for a flag, and then says that a value is missing.
        self._negative_number_matcher = NEGATIVE_NUMBER

    def error(self, message: str) -> NoReturn:
        """End with status 2."""
        self.exit(2, f"tinybert: {message} (see {self.prog} --help)\n")


def parse_arguments(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments; `predict`'s texts also where a flag stands before them, where argparse takes none."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] != ["predict"]:
        return parser.parse_args(given)
    flags_end = given.index("--") if "--" in given else len(given)
    arguments, rest = parser.parse_known_args(given[:flags_end])
    if any(part.startswith("-") and " " not in part for part in rest):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.texts += rest + given[flags_end + 1 :]
    return arguments
