"""The command line: verbs, flags, exit statuses. Progress goes to stderr, results to stdout."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tinybert_tf.cli.parser import find_verb, overview, parse_arguments
from tinybert_tf.cli.streams import drop_stdout, flush_or_drop, from_outside, open_streams
from tinybert_tf.cli.verbs import VERBS
from tinybert_tf.errors import InputError, VerificationError
from tinybert_tf.pipeline.runs.log_lines import on_stderr
from tinybert_tf.version import __version__

SIGINT, SIGPIPE = 2, 13  # Windows has no SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; the exit status is 0, 2 for wrong input, or 1 for an export that failed verification."""
    name, *given = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if name in ("-h", "--help", "--version"):
        print(f"tinybert {__version__}" if name == "--version" else overview(VERBS))
        return 0
    try:
        verb = find_verb(name, VERBS)
        arguments = parse_arguments(verb, given)
    except SystemExit as ended:  # argparse has printed the help or an error
        return int(ended.code or 0)
    try:
        with on_stderr():
            verb.run(arguments)
    except InputError as error:
        return _say(error, 2)
    except VerificationError as error:
        return _say(error, 1)
    return 0


def command_line() -> int:
    """`main` for a shell: it handles closed pipes and streams, a full disk and Ctrl-C.

    The exit status is `main`'s; 2 if the output cannot be written; 128 + N for signal N, a closed pipe included.
    """
    try:
        open_streams()
        status = main()
        flush_or_drop()
    except BrokenPipeError:
        drop_stdout()
        return 128 + SIGPIPE
    except InputError as error:
        return _say(error, 2)
    except OSError as error:
        said = from_outside(error)
        if said is None:
            raise
        drop_stdout()
        return _say(said, 2)
    except KeyboardInterrupt:
        return _say("interrupted", 128 + SIGINT)
    return status


def _say(problem: object, status: int) -> int:
    """Print the problem in one line, even if it quotes several lines; return the exit status."""
    print("tinybert:", *str(problem).splitlines(), file=sys.stderr)
    return status
