"""`SlowWork`: silent while work is quick, and then a line every few seconds."""

from __future__ import annotations

import logging

import pytest

from tinybert_tf import slow_work
from tinybert_tf.slow_work import SlowWork


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What time it is, in the first place of a list."""
    now = [0.0]
    monkeypatch.setattr(slow_work.time, "monotonic", lambda: now[0])
    return now


def test_a_line_every_five_seconds(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    work = SlowWork("work", 20)
    for _ in range(20):
        clock[0] += 0.7
        work.step()
    assert capsys.readouterr().err == "work: 40% done after 6 s\nwork: 80% done after 11 s\n"


def test_in_the_log_where_somebody_reads_it(
    clock: list[float], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="tinybert_tf"):
        work = SlowWork("work", 2)
        clock[0] = 5.0
        work.step()
    assert caplog.messages == ["work: 50% done after 5 s"]
    assert capsys.readouterr().err == ""
