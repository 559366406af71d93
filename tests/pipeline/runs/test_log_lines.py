"""Log lines on stderr: all of them while all is well, none of them before an InputError."""

from __future__ import annotations

import logging

import pytest

from tinybert_tf import InputError
from tinybert_tf.pipeline.runs.log_lines import held_back, on_stderr

logger = logging.getLogger("tinybert_tf.pipeline.somewhere")


def test_lines_come_out_in_order_and_only_inside(capsys: pytest.CaptureFixture[str]) -> None:
    with on_stderr():
        logger.info("one")
        with held_back():
            logger.info("two")
            assert capsys.readouterr().err == "one\n"
        logger.warning("three")
        logger.debug("never")
    logger.warning("outside")
    assert capsys.readouterr().err == "two\nthree\n"


@held_back()
def check(error: Exception) -> None:
    logger.warning("a clue")
    raise error


def test_an_input_error_stands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with on_stderr(), pytest.raises(InputError):
        check(InputError("wrong"))
    assert capsys.readouterr().err == ""


def test_our_own_faults_keep_their_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with on_stderr(), pytest.raises(ZeroDivisionError):
        check(ZeroDivisionError())
    assert capsys.readouterr().err == "a clue\n"


def test_the_logger_is_left_as_it_was() -> None:
    package = logging.getLogger("tinybert_tf")
    before = (package.level, list(package.handlers), package.propagate)
    with on_stderr(), held_back():
        pass
    assert (package.level, package.handlers, package.propagate) == before
