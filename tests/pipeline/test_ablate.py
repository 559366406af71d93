"""`ablate` end to end on tiny models; and with pretended runs, how it goes on after interruptions and failures."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import json
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinybert_tf import InputError
from tinybert_tf.checkpoints.directory_lock import directory_lock
from tinybert_tf.config.ablation import AblationConfig
from tinybert_tf.config.load import load_config
from tinybert_tf.config.schema import DistillConfig
from tinybert_tf.evaluation import spread_plot
from tinybert_tf.pipeline import ablate
from tinybert_tf.pipeline.runs.run import Run

Tinybert = Callable[..., Any]


@pytest.fixture(scope="module")
def flags(teacher_run: Path, data_flags: list[str], training_flags: list[str]) -> list[object]:
    """A tiny distillation, without its seed and its directory."""
    return ["--teacher", teacher_run, *data_flags, *training_flags, "--epochs", 2]


@dataclasses.dataclass
class Ablation:
    """An ablation that has run, with a cache of its own."""

    out: Path
    command: Any
    cached: dict[Path, int]

    def metrics(self, variant: str, seed: int) -> dict[str, Any]:
        return json.loads((self.out / "runs" / variant / f"seed-{seed}" / "metrics.json").read_text())

    def csv(self) -> list[dict[str, str]]:
        with (self.out / "ablation.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))


def cached_files(cache: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in cache.rglob("*.bin")}


@pytest.fixture(scope="module")
def ablation(tinybert: Tinybert, flags: list[object], opinions: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The base and a variant with two seeds, the second given later; the base trains its student alone as well."""
    directory = tmp_path_factory.mktemp("ablation")
    (directory / "ablation.yaml").write_text(
        "variants:\n"
        "  - {name: small, changes: [no_embedding], set: {student.hidden_size: 8, baseline: false}}\n"
        "stages: [{name: all, losses: [embedding, attention, hidden_state, prediction]}]\n"
        f"cache_dir: {directory / 'cache'}\n"
    )
    out = directory / "out"
    given = [*flags, "--test", opinions / "test.tsv", "--baseline", "--seeds", "1,2", "--out", out]
    first = tinybert("ablate", directory / "ablation.yaml", *given, "--seeds", "1")
    assert first.status == 0, first.err
    cached = cached_files(directory / "cache")
    command = tinybert("ablate", directory / "ablation.yaml", *given)
    assert command.status == 0, command.err
    return Ablation(out, command, cached)


def test_every_run_is_a_run_directory(ablation: Ablation) -> None:
    for variant in ("base", "small"):
        for seed in (1, 2):
            run = ablation.out / "runs" / variant / f"seed-{seed}"
            config = load_config(DistillConfig, run / "config.yaml")
            assert (config.train.seed, config.out) == (seed, str(run))
            assert config.student.hidden_size == (8 if variant == "small" else None)
            assert len(config.stages[0].losses) == (3 if variant == "small" else 4)
            assert (run / "student" / "model.safetensors").is_file()
            assert (run / "baseline").is_dir() is (variant == "base")


def test_the_numbers_are_those_of_the_runs(ablation: Ablation) -> None:
    """The Markdown table, recomputed from each `metrics.json`."""
    lines = (ablation.out / "ablation.md").read_text(encoding="utf-8")
    assert ablation.command.out == lines
    cells = {
        row[0]: row[1:]
        for line in lines.splitlines()
        if line.startswith("|")
        for row in [[cell.strip() for cell in line.strip("|").split("|")]]
    }
    assert list(cells)[2:] == ["base", "base, alone", "small", "teacher"]
    values = {}
    rows = [("base", "base", "student"), ("base, alone", "base", "baseline"), ("small", "small", "student")]
    for label, variant, model in rows:
        both = [ablation.metrics(variant, seed)[model] for seed in (1, 2)]
        values[label] = [[each["accuracy"] for each in both], [each["test"]["accuracy"] for each in both]]
        for place, split in enumerate(values[label]):
            score, spread, said = cells[label][1 + 3 * place : 4 + 3 * place]
            assert re.fullmatch(rf"{statistics.mean(split):.1%} ± \d+\.\d", score)
            assert spread == f"{statistics.stdev(split):.1%}"
            gain = 100 * (statistics.mean(split) - statistics.mean(values["base"][place]))
            if label == "base":
                assert said == ""
            else:
                difference, error = said.removesuffix(" *").split(" ± ")
                assert float(difference) == pytest.approx(gain, abs=0.0501)  # of 1.25, 1.2 and 1.3 are as near
                assert float(error) >= 0
    teacher = ablation.metrics("base", 1)["teacher"]
    measured = [teacher, teacher["test"]]
    assert cells["teacher"][1::3][:2] == [
        f"{each['accuracy']:.1%} ± {100 * each['standard_error']['accuracy']:.1f}" for each in measured
    ]


def test_a_line_a_run(ablation: Ablation) -> None:
    rows = ablation.csv()
    trained = [("base", "student"), ("base", "baseline"), ("small", "student")]
    assert [(row["variant"], row["model"], row["seed"]) for row in rows] == [
        (*names, seed) for seed in ("1", "2") for names in trained
    ]
    for row in rows:
        expected = ablation.metrics(row["variant"], int(row["seed"]))[row["model"]]
        for metric in ("accuracy", "f1", "f1_macro", "matthews_correlation"):
            assert float(row[f"dev_{metric}"]) == expected[metric]
            assert float(row[f"test_{metric}"]) == expected["test"][metric]
            assert float(row[f"test_{metric}_se"]) == expected["test"]["standard_error"][metric]
        assert int(row["parameters"]) == expected["parameters"]
        assert float(row["seconds"]) == expected["seconds"]
        assert (Path(row["run"]) / "metrics.json").is_file()


def test_the_second_seed_asks_the_teacher_nothing(ablation: Ablation) -> None:
    """Not a byte of the cache is new after the first seed."""
    cache = next(iter(ablation.cached)).parents[2]
    assert len(ablation.cached) > 0
    assert cached_files(cache) == ablation.cached
    assert "teacher cache" not in ablation.command.err


def test_finished_runs_are_not_run_again(ablation: Ablation) -> None:
    said = [line for line in ablation.command.err.splitlines() if line.startswith("[ablate]")]
    assert [line.endswith(" (done before)") for line in said[::2]] == [True] * 2 + [False] * 2
    assert said[0] == "[ablate] run 1 of 4: base, seed 1 (done before)"
    student = ablation.metrics("small", 2)["student"]
    shown = f"{student['accuracy']:.1%} ± {100 * student['standard_error']['accuracy']:.1f}"
    assert said[-2:] == ["[ablate] run 4 of 4: small, seed 2", f"[ablate] small, seed 2: dev accuracy {shown}"]


def test_a_run_is_what_distill_alone_makes_of_its_config(
    ablation: Ablation, tinybert: Tinybert, tmp_path: Path
) -> None:
    """Bit for bit, though others ran in the process before it."""
    run = ablation.out / "runs" / "small" / "seed-2"
    command = tinybert("distill", run / "config.yaml", "--out", tmp_path / "alone")
    assert command.status == 0, command.err
    weights = [each / "student" / "model.safetensors" for each in (run, tmp_path / "alone")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_the_plot_and_the_config(ablation: Ablation) -> None:
    assert {path.name for path in ablation.out.iterdir()} == {
        "ablation.csv", "ablation-means.csv", "ablation.md", "ablation.png", "ablation.svg", "ablation.yaml", "runs",
    }  # fmt: skip
    assert (ablation.out / "ablation.png").read_bytes().startswith(b"\x89PNG")
    written = load_config(AblationConfig, ablation.out / "ablation.yaml")
    assert [variant.name for variant in written.variants] == ["small"]
    assert written.seeds == (1, 2)


# === Runs that are pretended ===


@pytest.fixture
def config(teacher_run: Path, opinions: Path, tmp_path: Path) -> AblationConfig:
    """The base and two variants with two seeds."""
    path = tmp_path / "ablation.yaml"
    path.write_text(
        f"teacher: {{dir: {teacher_run}}}\n"
        f"data: {{train: {opinions}/train.tsv, dev: {opinions}/dev.tsv, text: text, label: label, max_length: 16}}\n"
        "train: {epochs: 3}\n"
        "variants: [no_embedding, top]\n"
        "seeds: [1, 2]\n"
        f"out: {tmp_path}/out\n"
    )
    return load_config(AblationConfig, path)


@dataclasses.dataclass
class Pretended:
    """Distillations that train nothing: each makes its directory, then what `then` says of its place happens."""

    then: dict[int, BaseException] = dataclasses.field(default_factory=dict)
    ran: list[str] = dataclasses.field(default_factory=list)

    def run(self, config: DistillConfig, overwrite: bool = False) -> dict[str, Any]:
        variant, seed = Path(config.out).parts[-2:]
        place = len(self.ran)
        self.ran.append(f"{variant}/{seed}")
        values = {"accuracy": 0.5 + len(variant) / 100, "parameters": 9, "size_bytes": 9, "latency_ms": 1, "seconds": 1}
        metrics = {"teacher": values, "student": values}
        with Run(config, overwrite) as run:
            run.begin()
            if place in self.then:
                raise self.then[place]
            run.finish(metrics)
        return metrics


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> Pretended:
    runs = Pretended()
    monkeypatch.setattr(ablate, "run_distill", runs.run)
    monkeypatch.setattr(ablate, "_forget_models", lambda: None)  # slow, and there are none
    return runs


ALL = [f"{variant}/seed-{seed}" for seed in (1, 2) for variant in ("base", "no_embedding", "top")]


def seeds_done(out: Path) -> dict[str, str]:
    lines = (out / "ablation.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return {row[0]: row[1] for row in rows[2:-1]}


def test_it_goes_on_after_an_interruption(config: AblationConfig, pretended: Pretended, tmp_path: Path) -> None:
    """The interrupted run begins anew, the finished ones do not; the tables are there in between."""
    pretended.then = {2: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        ablate.run_ablate(config, plot=False)
    assert seeds_done(tmp_path / "out") == {"base": "1", "no_embedding": "1"}
    assert "4 of 6 runs are still to come." in (tmp_path / "out" / "ablation.md").read_text()
    pretended.ran.clear()
    pretended.then = {}
    results = ablate.run_ablate(config, plot=False)
    assert pretended.ran == ALL[2:]
    assert len(results.outcomes) == 6
    assert seeds_done(tmp_path / "out") == {"base": "2", "no_embedding": "2", "top": "2"}
    pretended.ran.clear()
    ablate.run_ablate(config, plot=False)
    assert pretended.ran == []


def test_more_seeds_and_variants_later(
    config: AblationConfig, pretended: Pretended, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ablate.run_ablate(config, plot=False)
    pretended.ran.clear()
    more = dataclasses.replace(config, seeds=(2, 3), grid={"train.epochs": [3, 4]})
    ablate.run_ablate(more, plot=False)
    assert "[ablate] variant 'epochs=3' is left out: it is the base\n" in capsys.readouterr().err
    assert pretended.ran == [
        "epochs=4/seed-2",
        *(f"{name}/seed-3" for name in ("base", "no_embedding", "top", "epochs=4")),
    ]
    assert seeds_done(tmp_path / "out") == dict.fromkeys(["base", "no_embedding", "top", "epochs=4"], "2")
    assert not (tmp_path / "out" / "runs" / "epochs=3").exists()


def test_a_changed_file_is_named_before_any_run(
    config: AblationConfig, pretended: Pretended, tmp_path: Path, opinions: Path
) -> None:
    train = tmp_path / "train.tsv"
    train.write_bytes((opinions / "train.tsv").read_bytes())
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, train=str(train)), seeds=(1,))
    ablate.run_ablate(config, plot=False)
    train.write_text(train.read_text() + "a fine film\tpositive\n")
    with pytest.raises(InputError, match=rf"train file {train} has changed since this run began"):
        ablate.run_ablate(dataclasses.replace(config, seeds=(2, 1)), plot=False)
    assert pretended.ran == ALL[:3]
    ablate.run_ablate(config, plot=False, overwrite=True)
    assert pretended.ran == ALL[:3] * 2


def test_one_run_that_fails_is_named(
    config: AblationConfig, pretended: Pretended, tmp_path: Path, tinybert: Tinybert
) -> None:
    pretended.then = {4: InputError("stage 'prediction': the loss is nan")}
    command = tinybert("ablate", tmp_path / "ablation.yaml", "--no-plot")
    assert pretended.ran == ALL
    assert command.status == 2
    assert command.err.splitlines()[-1] == (
        "tinybert: 1 of 6 runs failed, the first no_embedding, seed 2: stage 'prediction': the loss is nan"
    )
    assert command.out.splitlines()[-1] == "Failed: no_embedding, seed 2: stage 'prediction': the loss is nan"
    assert seeds_done(tmp_path / "out") == {"base": "2", "no_embedding": "1", "top": "2"}
    pretended.ran.clear()
    pretended.then = {}
    assert tinybert("ablate", tmp_path / "ablation.yaml", "--no-plot").status == 0
    assert pretended.ran == ALL[4:5]  # it is tried again


def test_another_process_is_kept_out(config: AblationConfig, pretended: Pretended) -> None:
    pytest.importorskip("fcntl")
    Path(config.out).mkdir()
    with (
        directory_lock(Path(config.out)),
        pytest.raises(InputError, match="another process works on this ablation; wait for it"),
    ):
        ablate.run_ablate(config, plot=False)
    assert pretended.ran == []


def test_our_own_fault_in_a_run_ends_it(config: AblationConfig, pretended: Pretended, tmp_path: Path) -> None:
    pretended.then = {1: ZeroDivisionError()}
    with pytest.raises(ZeroDivisionError):
        ablate.run_ablate(config, plot=False)
    assert seeds_done(tmp_path / "out") == {"base": "1"}


@pytest.mark.slow
def test_a_killed_process_goes_on(ablation: Ablation, flags: list[object], tmp_path: Path) -> None:
    """Killed without a warning as soon as the first run is done."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "tinybert_tf", "ablate", *flags, "--variants", "no_embedding", "--seeds", "1"]
    command = [*map(str, command), "--no-plot", "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    done = out / "runs" / "base" / "seed-1" / "metrics.json"
    until = time.monotonic() + 300
    while not (out / "ablation.md").exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    written = done.stat().st_mtime_ns
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert done.stat().st_mtime_ns == written
    assert "[ablate] run 1 of 2: base, seed 1 (done before)\n" in again.stderr
    assert "[ablate] run 2 of 2: no_embedding, seed 1\n" in again.stderr


# === Refused before anything runs ===


@pytest.fixture
def refused(config: AblationConfig, pretended: Pretended, tmp_path: Path, tinybert: Tinybert) -> Callable[..., str]:
    """The one line that the command ends with; nothing has run then, and nothing is left behind."""

    def refused(*flags: object) -> str:
        before = sorted(tmp_path.rglob("*"))
        command = tinybert("ablate", tmp_path / "ablation.yaml", *flags)
        assert (command.status, command.out) == (2, "")
        (line,) = command.err.splitlines()
        assert pretended.ran == []
        assert sorted(tmp_path.rglob("*")) == before
        return line.removeprefix("tinybert: ")

    return refused


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--variants", "no_general"],
            "variant 'no_general': the config has no student.dir, whose general distillation",
        ),
        (["--variants", "nothing"], "variant 'nothing': no change is called 'nothing'; "),
        (["--variants", "top,top"], "variant 'top': two variants have this name; give one of them another."),
        (["--seeds", "1,one"], "seeds.1: expected an integer, got 'one'"),
        (["--seeds", "1,1"], "seeds: expected at least one integer from 0 to 4294967295, no two equal, got (1, 1)"),
        (["--set", "variants=[{name: a, set: {train.epoch: 1}}]"], "variant 'a': train.epoch: unknown key; did you"),
        (
            ["--set", "variants=[{name: a, set: {stages.0.losses: [nothing]}}]"],
            "variant 'a': stage 'intermediate': loss",
        ),
        (["--set", "variants=[{name: a, set: {student.num_attention_heads: 3}}]"], "variant 'a': "),
        (["--set", "variants=[{name: a, set: {data.dev: none.tsv}}]"], "variant 'a': none.tsv: no such file"),
        (["--train", "none.tsv"], "none.tsv: no such file"),
        (["--metric", "pearson"], "metric: expected one of accuracy, f1, "),
    ],
)
def test_what_is_wrong(refused: Callable[..., str], flags: list[str], message: str) -> None:
    assert refused(*flags).startswith(message)


def test_no_matplotlib(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        spread_plot.importlib.util, "find_spec", lambda name, *more: None if name == "matplotlib" else find(name, *more)
    )
    assert refused() == "the plot needs matplotlib: pip install 'tinybert_tf[report]', or --no-plot."


def test_a_run_with_another_config(
    config: AblationConfig, refused: Callable[..., str], pretended: Pretended, tmp_path: Path
) -> None:
    ablate.run_ablate(config, plot=False)
    pretended.ran.clear()
    message = refused("--epochs", 5)
    where = f"{tmp_path}/out/runs/base/seed-1"
    assert message.startswith(f"out: {where} holds a run with another config (there train.epochs=3, here ")
    assert ", here train.epochs=5)" in message


def test_a_directory_that_holds_something_else(refused: Callable[..., str], tmp_path: Path, teacher_run: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    wanted = "is not empty and holds no ablation; give a new or an empty directory."
    assert refused("--out", tmp_path / "full") == f"out: {tmp_path}/full {wanted}"
    assert refused("--out", teacher_run) == f"out: {teacher_run} {wanted}"


def test_a_teacher_that_knows_nothing_ends_it_at_once(
    tinybert: Tinybert, config: AblationConfig, encoder_dir: Path, tmp_path: Path
) -> None:
    from tinybert_tf import SequenceClassifier, load_tokenizer

    weak = SequenceClassifier.from_pretrained(encoder_dir, dtype="float32")
    weak = SequenceClassifier(weak.encoder, id2label=["negative", "positive"], dtype="float32")
    weak.classifier.bias.assign([9.0, -9.0])
    weak.save_pretrained(tmp_path / "weak", tokenizer=load_tokenizer(encoder_dir))
    command = tinybert("ablate", tmp_path / "ablation.yaml", "--teacher", tmp_path / "weak", "--precision", "float32")
    assert (command.status, command.out) == (2, "")
    assert command.err.splitlines()[-1].startswith(
        f"tinybert: base, seed 1: teacher {tmp_path}/weak: dev accuracy 50.0%"
    )
    assert not (tmp_path / "out").exists()
