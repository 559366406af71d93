"""GLUE's names as tasks: what they set, what wins over them, and that the shipped configs say the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tinybert_tf import InputError
from tinybert_tf.config.glue import GLUE
from tinybert_tf.config.load import dump_config, load_config
from tinybert_tf.config.schema import DistillConfig, FinetuneConfig
from tinybert_tf.metrics import TASK_METRICS

CONFIGS = Path(__file__).parents[2] / "configs"
NEEDED = {"model.dir": "m", "data.train": "train.tsv", "data.dev": "dev.tsv", "out": "run"}
IN_CONFIGS = [name for name in GLUE if name != "wnli"]  # which the paper leaves out


def load(task: str, settings: tuple[str, ...] = (), **flags: Any) -> FinetuneConfig:
    return load_config(FinetuneConfig, None, {**NEEDED, "task": task, **flags}, settings)


def test_a_name_sets_columns_labels_and_metric() -> None:
    config = load("mnli")
    assert (config.task, config.metric) == ("sequence_classification", "accuracy")
    assert (config.data.text, config.data.label) == (("sentence1", "sentence2"), "gold_label")
    assert config.data.labels == ("entailment", "neutral", "contradiction")


def test_the_hub_has_other_columns() -> None:
    data = load("mnli", **{"data.train": "hub:nyu-mll/glue/mnli:train"}).data
    assert (data.text, data.label) == (("premise", "hypothesis"), "label")
    assert load("mrpc", **{"data.train": "hub:nyu-mll/glue/mrpc:train"}).data.text == ("sentence1", "sentence2")
    assert load("sst2", **{"data.train": "hub:nyu-mll/glue/sst2:train"}).data.text == ("sentence",)


def test_scores_have_no_labels() -> None:
    config = load("stsb")
    assert (config.task, config.metric, config.data.labels) == ("regression", "pearson", None)


def test_what_is_given_wins() -> None:
    flags = {"data.text": "a,b", "data.label": "same", "metric": "accuracy"}
    config = load("mrpc", ("data.labels=[no, yes]",), **flags)
    assert (config.data.text, config.data.label, config.metric) == (("a", "b"), "same", "accuracy")
    assert config.data.labels == ("no", "yes")
    assert load("mrpc", ("data.label=null",)).data.label == "Quality"


def test_a_file_may_name_one_and_a_flag_win(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("task: cola\nmodel: {dir: m}\ndata: {train: a, dev: b, label: mark}\nout: run\n")
    config = load_config(FinetuneConfig, path, {"metric": "accuracy"})
    assert (config.data.text, config.data.label, config.metric) == (("sentence",), "mark", "accuracy")


def test_the_resolved_config_has_it_written_out(tmp_path: Path) -> None:
    config = load("qnli")
    path = tmp_path / "config.yaml"
    path.write_text(dump_config(config))
    assert "qnli" not in path.read_text()
    assert load_config(FinetuneConfig, path) == config


def test_what_a_name_does_not_set_is_still_missing() -> None:
    with pytest.raises(InputError, match=r"^missing keys: out$"):
        load_config(FinetuneConfig, None, {"model.dir": "m", "data.train": "a", "task": "rte"})


@pytest.mark.parametrize("task", ["[cola]", "3", "glue"])
def test_what_is_no_name(task: str) -> None:
    with pytest.raises(InputError, match=r"task"):
        load("sequence_classification", (f"task={task}",), **{"data.text": "a", "data.label": "b"})


@pytest.mark.parametrize("name", GLUE)
def test_the_metric_is_one_of_the_tasks(name: str) -> None:
    assert GLUE[name].metric in TASK_METRICS[GLUE[name].task].names(len(GLUE[name].labels or [0]))


@pytest.mark.parametrize("student", ["tinybert-4l-312d", "tinybert-6l-768d"])
@pytest.mark.parametrize("name", IN_CONFIGS)
def test_the_shipped_configs_say_the_same(name: str, student: str) -> None:
    shipped = load_config(DistillConfig, CONFIGS / f"{name}-{student}.yaml")
    config = load(name)
    assert (config.task, config.data.text, config.data.label) == (shipped.task, shipped.data.text, shipped.data.label)
    assert config.metric == (shipped.metric or TASK_METRICS[shipped.task].main)
