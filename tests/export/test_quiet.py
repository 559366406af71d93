"""What libraries print: kept back, and shown where they fail."""

from __future__ import annotations

import os
import sys
import warnings

import pytest

from tinybert_tf.export.quiet import quiet


def talk() -> None:
    print("from Python")
    print("to stderr", file=sys.stderr)
    os.write(1, b"from C\n")
    os.write(2, b"from C++\n")
    warnings.warn("a warning", stacklevel=1)


def fail() -> None:
    talk()
    raise ZeroDivisionError


def test_nothing_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet():
        talk()
    print("after")
    os.write(2, b"after that\n")
    assert capfd.readouterr() == ("after\n", "after that\n")


def test_all_is_shown_where_it_fails(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), quiet():
        fail()
    out, err = capfd.readouterr()
    assert out == ""
    assert sorted(err.split("\n")) == ["", "from C", "from C++", "from Python", "to stderr"]
    with pytest.raises(ZeroDivisionError), quiet(shown_if_it_fails=False):
        fail()
    assert capfd.readouterr() == ("", "")
