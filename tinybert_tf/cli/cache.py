"""`cache`: lists and removes the teachers' features that are kept on disk."""

from __future__ import annotations

import argparse

from tinybert_tf.cli.flags import integer
from tinybert_tf.cli.verb import Flag, Verb
from tinybert_tf.errors import InputError


def _cache(arguments: argparse.Namespace) -> None:
    from tinybert_tf.pipeline.cache import run_cache_clear, run_cache_list

    if arguments.action not in ("list", "clear"):
        raise InputError(f"cache: got {arguments.action!r}; expected list or clear.")
    if arguments.action == "clear":
        print(run_cache_clear(arguments.dir, arguments.folders, arguments.unused_days))
    elif arguments.folders:
        raise InputError(f"cache list: got {arguments.folders[0]!r}; expected no folder, since it lists all of them.")
    else:
        print(run_cache_list(arguments.dir))


CACHE = Verb(
    "cache",
    "list the teachers' features that are kept on disk (`cache list`), or remove them (`cache clear`)",
    (
        Flag("action", "list|clear", "`list` shows every folder: size, last use, contents; `clear` removes folders"),
        Flag("folders", "FOLDER", "folders to clear, by the names that `list` shows", nargs="*", otherwise="all"),
        Flag("--unused-days", "N", "clear only what no run has used for at least so many days", default=0,
             type=integer(0)),
        Flag("--dir", "DIR", "the cache", otherwise="$TINYBERT_CACHE, or tinybert_tf/teachers among the user's caches"),
    ),
    _cache,
)  # fmt: skip
