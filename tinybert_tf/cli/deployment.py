"""The flags of `export` and `serve`."""

from __future__ import annotations

import argparse
from typing import Any

from tinybert_tf.errors import InputError
from tinybert_tf.export.formats import FORMATS

_QUANTIZATIONS = list(dict.fromkeys(scheme for format in FORMATS.values() for scheme in format.quantizations))


def with_export(parser: argparse.ArgumentParser) -> None:
    """Give `export` its flags."""
    parser.add_argument("model", metavar="MODEL", help="model or run directory, or a Hub id")
    parser.add_argument("--format", required=True, metavar="NAME", help=", ".join(FORMATS))
    parser.add_argument("--quantize", metavar="SCHEME", help=", ".join(_QUANTIZATIONS))
    parser.add_argument(
        "--lengths", metavar="N[,N]", help="tokens that texts are padded to (default: as trained, or 128)"
    )
    parser.add_argument("--verify", metavar="F", help="labelled file to verify on (default: a run's dev file)")
    parser.add_argument("--text", metavar="COLUMN[,COLUMN]", help="column of the text, or two, where it has columns")
    parser.add_argument("--label", metavar="COLUMN", help="column of the label, likewise")
    parser.add_argument("--calibrate", metavar="F", help="file of texts to measure ranges on, for full_int8")
    parser.add_argument("--teacher", metavar="DIR", help="model to measure beside (default: a run's teacher)")
    parser.add_argument(
        "--min-agreement", type=float, default=0.95, metavar="X", help="fraction of answers that stay (default 0.95)"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="directory to make")


def export_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """What `ExportOptions` is made of."""
    names = ("model", "format", "out", "quantize", "verify", "text", "label", "calibrate", "teacher", "min_agreement")
    return {name: getattr(arguments, name) for name in names} | {"lengths": _numbers(arguments.lengths)}


def _numbers(written: str | None) -> tuple[int, ...] | None:
    if written is None:
        return None
    try:
        return tuple(int(part) for part in written.split(","))
    except ValueError:
        raise InputError(f"--lengths {written!r}: numbers of tokens with commas between, 64,128, are wanted") from None


def with_serving(parser: argparse.ArgumentParser) -> None:
    """Give `serve` its flags."""
    parser.add_argument("model", metavar="MODEL", help="model or run directory, an export, or a Hub id")
    parser.add_argument("--host", default="127.0.0.1", metavar="NAME", help="address to listen at (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="port to listen at (default 8000)")
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="texts computed together (default 32)")
    parser.add_argument(
        "--max-length", type=int, metavar="TOKENS", help="tokens a text is cut at (default: the model's)"
    )


def serving_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Arguments of `run_serve`."""
    return {name: getattr(arguments, name) for name in ("host", "port", "batch_size", "max_length")}
