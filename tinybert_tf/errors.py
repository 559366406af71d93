"""The exceptions of this library, each with a message of one line."""

from __future__ import annotations


class InputError(ValueError):
    """Something that the user gave cannot be used: a file, a key, a row, a checkpoint.

    The message is one line that names the file, key or row, the value found and the values expected. The command line
    prints it and exits with status 2; every other exception is a fault of the library.
    """


class VerificationError(Exception):
    """An exported model computes something else than its original, and was not kept.

    The command line prints the message, one line, and exits with status 1.
    """
