"""What the user gave is wrong: one exception, one clear line."""

from __future__ import annotations


class InputError(ValueError):
    """Something the user gave cannot be used: a file, a key, a row, a checkpoint.

    The message is one line that names the file, key or row, what was found and what would be accepted. The command line
    prints it and ends with exit status 2; every other exception is the library's own fault.
    """


class VerificationError(Exception):
    """An exported model does not compute what the model that it was made from does, and was not kept.

    The command line prints the message, one line, and ends with exit status 1.
    """
