"""The life of a run: new, interrupted, complete, trained anew; one process at a time, from files that do not change."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinybert_tf import InputError
from tinybert_tf.checkpoints import directory_lock
from tinybert_tf.config.load import dump_config, load_config
from tinybert_tf.config.resolved import resolved
from tinybert_tf.config.schema import Data, FinetuneConfig, ModelSection, Train
from tinybert_tf.pipeline.runs import run as life
from tinybert_tf.pipeline.runs.run import ANEW, Run, RunState

METRICS = {"model": {"accuracy": 0.5}}


@pytest.fixture
def config(tmp_path: Path) -> FinetuneConfig:
    """A run in `runs/one`, of files that are there."""
    for name in ("train.tsv", "dev.tsv"):
        (tmp_path / name).write_text("text\tlabel\ngood\t1\n")
    model = tmp_path / "bert"
    model.mkdir()
    for name in ("config.json", "model.safetensors", "vocab.txt"):
        (model / name).write_text("{}")
    data = Data(train=str(tmp_path / "train.tsv"), dev=str(tmp_path / "dev.tsv"), text=("text",), label="label")
    train = Train(learning_rate=1e-4)
    return FinetuneConfig(model=ModelSection(str(model)), data=data, train=train, out=str(tmp_path / "runs" / "one"))


def train(config: FinetuneConfig, weights: str = "old", interrupted: bool = False, overwrite: bool = False) -> Path:
    """What a verb does with its run; the directory."""
    with Run(config, overwrite) as run:
        run.begin()
        run.log({"epoch": 1, "loss": 0.5})
        (run.path / "model").mkdir()
        (run.path / "model" / "config.json").write_text("{}")
        (run.path / "model" / "model.safetensors").write_text(weights)
        run.checkpoint.parent.mkdir()
        run.checkpoint.touch()
        if not interrupted:
            run.finish(METRICS)
    return run.out


def refusal(config: FinetuneConfig, overwrite: bool = False) -> str:
    with pytest.raises(InputError) as caught, Run(config, overwrite):
        pass
    return str(caught.value)


def weights_in(out: Path) -> str:
    return (out / "model" / "model.safetensors").read_text()


def test_nothing_is_written_before_it_begins(config: FinetuneConfig, tmp_path: Path) -> None:
    with Run(config) as run:
        assert run.state is RunState.NEW
        assert run.results() is None
        assert not (tmp_path / "runs").exists()
        run.begin()
        assert {path.name for path in run.path.iterdir()} == {"config.yaml", "sources.json"}
    assert load_config(FinetuneConfig, run.path / "config.yaml") == resolved(config)


def test_new_interrupted_complete(config: FinetuneConfig) -> None:
    out = train(config, interrupted=True)
    with Run(config) as run:
        assert run.state is RunState.INTERRUPTED
        run.begin()
        assert (out / "log.csv").exists()
        run.finish(METRICS)
    with Run(config) as run:
        assert run.state is RunState.COMPLETE
        assert run.results() == METRICS
    assert {path.name for path in out.iterdir()} == {
        "config.yaml", "sources.json", "log.csv", "metrics.json", "model",
    }  # fmt: skip


def test_what_is_no_run_is_refused(config: FinetuneConfig, tmp_path: Path) -> None:
    for overwrite in (False, True):
        message = refusal(dataclasses.replace(config, out=str(tmp_path)), overwrite)
        assert message == f"out: {tmp_path} is not empty and holds no run; give a new or an empty directory."


def test_a_config_of_another_program_is_no_run(config: FinetuneConfig) -> None:
    out = Path(config.out)
    (out / "model").mkdir(parents=True)
    for content in (b"name: of something else\n", b"- a list\n", b"\xff\xfe", b"a: [\n"):
        (out / "config.yaml").write_bytes(content)
        for overwrite in (False, True):
            assert "is not empty and holds no run" in refusal(config, overwrite)


def test_another_config_is_named(config: FinetuneConfig) -> None:
    train(config)
    message = refusal(dataclasses.replace(config, train=Train(learning_rate=2e-4)))
    assert "holds a run with another config (there train.learning_rate=0.0001, here train.learning_rate=0.0002)" in (
        message
    )


def test_a_directory_that_was_moved_is_the_same_run(config: FinetuneConfig, tmp_path: Path) -> None:
    train(config)
    (tmp_path / "runs" / "one").rename(tmp_path / "elsewhere")
    with Run(dataclasses.replace(config, out=str(tmp_path / "elsewhere"))) as run:
        assert run.results() == METRICS


@pytest.mark.parametrize("interrupted", [False, True])
@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("train.tsv", "train file {}"),
        ("dev.tsv", "dev file {}"),
        ("bert/model.safetensors", "model file {}: model.safetensors"),
        ("bert/vocab.txt", "model file {}: vocab.txt"),
    ],
)
def test_what_changed_since_is_named(
    config: FinetuneConfig, tmp_path: Path, name: str, called: str, interrupted: bool
) -> None:
    out = train(config, interrupted=interrupted)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    (tmp_path / name).write_text("something else")
    called = called.format(tmp_path / ("bert" if "bert" in name else name))
    assert refusal(config) == (
        f"{out}: {called} has changed since this run began; restore it, or give another --out, or "
        f"--overwrite to train anew."
    )
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    (tmp_path / name).unlink()
    if "safetensors" not in name:  # a model without weights is refused as one
        assert f"{called} does not exist any more" in refusal(config)


def test_a_run_of_an_earlier_version_goes_on(config: FinetuneConfig, caplog: pytest.LogCaptureFixture) -> None:
    """It wrote down neither what it was made from nor keys that came later."""
    out = train(config)
    (out / "sources.json").unlink()
    lines = [line for line in dump_config(config).splitlines() if not line.startswith("task:")]
    (out / "config.yaml").write_text("\n".join(lines))
    with Run(config) as run:
        assert run.results() == METRICS
    assert f"{out}: begun by an earlier version" in caplog.text
    (out / "metrics.json").unlink()
    Run(config).checkpoint.parent.mkdir()
    Run(config).checkpoint.touch()
    with Run(config) as run:
        run.begin()
        assert run.read_sources() == run.sources  # compared from now on


def test_a_model_that_is_gone(config: FinetuneConfig) -> None:
    out = train(config)
    (out / "model" / "config.json").unlink()
    with Run(config) as run, pytest.raises(InputError, match="complete, but its model is gone"):
        run.results()


# === Two processes ===


def test_another_process_is_kept_out(config: FinetuneConfig) -> None:
    pytest.importorskip("fcntl")
    with Run(config) as one, Run(config) as other:  # neither finds a directory
        one.begin()
        with pytest.raises(InputError, match=r"another process works on this run; wait for it, or"):
            other.begin()
        assert "another process works on this run" in refusal(config)
        assert "another process works on this run" in refusal(config, overwrite=True)
    with Run(config) as run:
        run.begin()


def test_a_run_that_another_process_finished_meanwhile(config: FinetuneConfig) -> None:
    with Run(config) as run:
        train(config)
        with pytest.raises(InputError, match="another process has begun a run there"):
            run.begin()
    assert Run(config).state is RunState.COMPLETE


@pytest.mark.parametrize("writes", [0, 1])
def test_a_process_that_is_killed_while_it_begins(
    config: FinetuneConfig, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """The same command begins again, whatever was written."""
    left, replace = [writes], os.replace

    def killed(*names: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        replace(*names)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", killed)
        patched.setattr(Path, "unlink", lambda *_, **__: None)  # as of a process that is gone
        with pytest.raises(KeyboardInterrupt):
            train(config)
    assert any(Path(config.out).iterdir())
    train(config)
    assert Run(config).state is RunState.COMPLETE
    assert not list(Path(config.out).glob("*.partial"))


def test_what_a_killed_process_left_is_swept(config: FinetuneConfig) -> None:
    out = train(config)
    (out / "student.0a1b2c3d.partial").mkdir()
    with Run(config):
        assert not (out / "student.0a1b2c3d.partial").exists()


def test_a_file_system_without_locks(
    config: FinetuneConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def unsupported(*_: Any) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with caplog.at_level("WARNING", directory_lock.__name__):
        train(config)
    assert "cannot be locked (Operation not supported); use it from one process at a time" in caplog.text


# === Trained anew ===


def test_the_old_model_stays_until_the_new_one_is_complete(config: FinetuneConfig, tmp_path: Path) -> None:
    out = train(config)
    (out / "export").mkdir()
    (out / "notes.txt").write_text("the user's own")
    (tmp_path / "train.tsv").write_text("something else")
    other = dataclasses.replace(config, train=Train(epochs=9))
    train(other, "new", interrupted=True, overwrite=True)
    assert weights_in(out) == "old"
    assert Run(config).read_metrics() == METRICS
    with Run(other, overwrite=True) as run:
        assert run.state is RunState.INTERRUPTED
        run.begin()
        run.finish(METRICS)
    assert weights_in(out) == "new"
    assert not (out / ANEW).exists()
    assert {path.name for path in out.iterdir()} == {
        "config.yaml", "sources.json", "log.csv", "metrics.json", "model", "notes.txt",
    }  # fmt: skip
    with Run(other) as run:
        assert run.results() == METRICS


def test_a_run_is_not_replaced_by_one_that_is_made_from_it(config: FinetuneConfig) -> None:
    out = train(config)
    again = dataclasses.replace(config, model=ModelSection(str(out)))
    assert refusal(again, overwrite=True) == (
        f"out: {out}: --overwrite would replace the model file {out}: model.safetensors; give another --out."
    )


def test_an_overwriting_begins_again_where_something_changed(config: FinetuneConfig, tmp_path: Path) -> None:
    train(config)
    train(config, interrupted=True, overwrite=True)
    (tmp_path / "dev.tsv").write_text("something else")
    with Run(config, overwrite=True) as run:
        assert run.state is RunState.NEW


@pytest.mark.parametrize("moves", range(6))
def test_a_process_that_is_killed_while_the_new_run_takes_its_place(
    config: FinetuneConfig, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    """`sources.json`, `log.csv`, `model`, `config.yaml` and `metrics.json` move; the old run's `export` goes."""
    out = train(config)
    (out / "export").mkdir()
    done: list[Callable[..., None]] = []
    move_over = life.move_over

    def killed(*names: Path) -> None:
        if len(done) == moves:
            raise KeyboardInterrupt
        done.append(move_over)
        move_over(*names)

    with monkeypatch.context() as patched:
        patched.setattr(life, "move_over", killed)
        if moves < 5:
            with pytest.raises(KeyboardInterrupt):
                train(config, "new", overwrite=True)
        else:
            train(config, "new", overwrite=True)
    with Run(config) as run:
        assert run.results() == METRICS
    assert weights_in(out) == "new"
    assert {path.name for path in out.iterdir()} == {
        "config.yaml", "sources.json", "log.csv", "metrics.json", "model",
    }  # fmt: skip
    assert json.loads((out / "sources.json").read_text()) == run.sources
