"""The command line: verbs, flags, exit statuses. Progress goes to stderr, results to stdout."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tinybert_tf.cli.parser import find_verb, overview, parse_arguments
from tinybert_tf.cli.verbs import VERBS
from tinybert_tf.errors import InputError, VerificationError
from tinybert_tf.pipeline.runs.log_lines import on_stderr
from tinybert_tf.version import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; the exit status is 0, 2 where what the user gave is wrong, 1 for an export not kept."""
    name, *given = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if name in ("-h", "--help", "--version"):
        print(f"tinybert {__version__}" if name == "--version" else overview(VERBS))
        return 0
    verb = find_verb(name, VERBS)
    arguments = parse_arguments(verb, given)
    try:
        with on_stderr():
            verb.run(arguments)
    except InputError as error:
        # One line, also where a file's or a library's own words are in it.
        print("tinybert:", *str(error).splitlines(), file=sys.stderr)
        return 2
    except VerificationError as error:
        print("tinybert:", error, file=sys.stderr)
        return 1
    return 0


def command_line() -> int:
    """`main` as a shell has it: Ctrl-C ends it with a line."""
    try:
        return main()
    except KeyboardInterrupt:
        print("tinybert: interrupted", file=sys.stderr)
        return 130
