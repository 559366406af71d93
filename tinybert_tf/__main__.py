"""`python -m tinybert_tf`: the command line."""

from __future__ import annotations

import sys

from tinybert_tf.cli import command_line

sys.exit(command_line())
