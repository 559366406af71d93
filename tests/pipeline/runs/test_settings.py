"""What a run says to the verbs that read it afterwards."""

from __future__ import annotations

from pathlib import Path

from tinybert_tf.pipeline.runs.settings import Reading, run_settings

CONFIG = """task: sequence_classification
data: {train: a.tsv, text: [sentence], label: mark, labels: [bad, good], positive: bad}
"""


def test_what_is_not_said_is_as_in_the_run(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    run = Reading("sequence_classification", ["sentence"], "mark", ["bad", "good"], "bad")
    assert Reading().completed_by_run(tmp_path) == run
    assert run.completed_by_run(tmp_path / "nowhere") == run
    own = Reading(label="other", text="line", positive="x")
    assert own.completed_by_run(tmp_path) == Reading("sequence_classification", "line", "other", None, "x")


def test_what_is_no_run(tmp_path: Path) -> None:
    assert run_settings(tmp_path) == {}
    for content in ("[1, 2]", "data: 3"):
        (tmp_path / "config.yaml").write_text(content, encoding="utf-8")
        assert Reading().completed_by_run(tmp_path) == Reading()
