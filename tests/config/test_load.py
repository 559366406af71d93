from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinybert_tf import InputError
from tinybert_tf.config.load import MissingKeysError, dump_config, load_config
from tinybert_tf.config.pretraining import PretrainConfig
from tinybert_tf.config.schema import (
    Data,
    DistillConfig,
    FinetuneConfig,
    LossSection,
    ModelSection,
    StageSection,
    StudentSection,
    TeacherSection,
    Train,
    WeightSection,
)

NEEDED = """
teacher: {dir: bert}
data: {train: train.tsv, dev: dev.tsv, text: sentence, label: label}
out: runs/one
"""

STAGES = """
stages:
  - name: first
    losses: [embedding, {name: attention, weight: 0.5, reduction: paper}]
    layer_map: [[0, 0], [1, 3]]
    epochs: 9
    learning_rate: 1e-4
  - name: second
    losses: [prediction]
    epochs: 8
"""
CHANGING = "stages: [{name: a, losses: [{name: b, weight: {start: 1, end: 0.5, steps: 9}, margin: 2}]}]\n"


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return path


def _error(tmp_path: Path, text: str, flags: dict[str, Any] | None = None, settings: tuple[str, ...] = ()) -> str:
    """The one line that loading ends with, without the directory of the file."""
    with pytest.raises(InputError) as caught:
        load_config(DistillConfig, _write(tmp_path, text), flags or {}, settings)
    message = str(caught.value).replace(f"{tmp_path}/", "")
    assert "\n" not in message
    return message


def test_a_full_file(tmp_path: Path) -> None:
    text = f"{NEEDED}{STAGES}train: {{learning_rate: 3e-5, max_steps: null}}\nstudent:\nbaseline: true\n"
    assert load_config(DistillConfig, _write(tmp_path, text)) == DistillConfig(
        teacher=TeacherSection("bert"),
        student=StudentSection(),
        data=Data("train.tsv", "dev.tsv", ("sentence",), "label"),
        train=Train(learning_rate=3e-5),
        stages=(
            StageSection(
                "first",
                (LossSection("embedding"), LossSection("attention", 0.5, {"reduction": "paper"})),
                layer_map=((0, 0), (1, 3)),
                epochs=9,
                learning_rate=1e-4,
            ),
            StageSection("second", (LossSection("prediction"),), epochs=8),
        ),
        out="runs/one",
        baseline=True,
    )


@pytest.mark.parametrize(
    ("text", "columns"), [("a", ("a",)), ("'a, b'", ("a", "b")), ("[a]", ("a",)), ("['a, b', c]", ("a, b", "c"))]
)
def test_text_columns(text: str, columns: tuple[str, ...], tmp_path: Path) -> None:
    config = load_config(DistillConfig, _write(tmp_path, NEEDED.replace("text: sentence", f"text: {text}")))
    assert config.data.text == columns


BAD_VALUES = [
    ("train: {batch_size: many}", "run.yaml: train.batch_size: expected an integer, got 'many'"),
    ("train: {batch_size: 2.0}", "run.yaml: train.batch_size: expected an integer, got 2.0"),
    ("train: {batch_size: true}", "run.yaml: train.batch_size: expected an integer, got True"),
    ("train: {batch_size: }", "run.yaml: train.batch_size: expected an integer, got null"),
    ("train: {epochs: 0}", "run.yaml: train.epochs: expected an integer >= 1, got 0"),
    ("train: {learning_rate: fast}", "run.yaml: train.learning_rate: expected a number, got 'fast'"),
    ("train: {learning_rate: .nan}", "run.yaml: train.learning_rate: expected a finite number > 0, got nan"),
    ("train: {learning_rate: [1]}", "run.yaml: train.learning_rate: expected a number, got [1]"),
    (
        "train: {weight_decay: %s}" % ("9" * 400),
        f"run.yaml: train.weight_decay: expected a number, got {'9' * 400}",
    ),
    ("train: {precision: 16}", "run.yaml: train.precision: expected text (write it in quotes), got 16"),
    ("train: 3", "run.yaml: train: expected a section with the keys epochs, max_steps, patience, "),
    ("baseline: on", "run.yaml: baseline: expected true or false, got 'on'"),
    ("baseline: 1", "run.yaml: baseline: expected true or false, got 1"),
    ("stages: intermediate", "run.yaml: stages: expected a list, got 'intermediate'"),
    ("stages: [a]", "run.yaml: stages.0: expected a section with the keys name, losses, layer_map, "),
    ("stages: [{name: a, losses: [3]}]", "run.yaml: stages.0.losses.0: expected a section with the keys name, "),
    (
        "stages: [{name: a, losses: [{name: b, weight: x}]}]",
        "run.yaml: stages.0.losses.0.weight: expected a number, got 'x'",
    ),
    (
        "stages: [{name: a, losses: [{name: b, weight: {start: 1, end: 0}}]}]",
        "run.yaml: missing keys: stages.0.losses.0.weight.steps",
    ),
    (
        "stages: [{name: a, losses: [{name: b, weight: {start: 1, end: -1, steps: 5}}]}]",
        "run.yaml: stages.0.losses.0.weight.end: expected a finite number >= 0, got -1.0",
    ),
    (
        "stages: [{name: a, losses: [{name: b, weight: -1}]}]",
        "run.yaml: stages.0.losses.0.weight: expected a finite number >= 0, or a mapping of start, ",
    ),
    (
        "stages: [{name: a, losses: [b], layer_map: [[1, 2, 3]]}]",
        "run.yaml: stages.0.layer_map.0: expected a list of 2, got [1, 2, 3]",
    ),
    (
        "stages: [{name: a, losses: [b], layer_map: [[0, x]]}]",
        "run.yaml: stages.0.layer_map.0.1: expected an integer, got 'x'",
    ),
    (
        "stages: [{name: a, losses: [b]}, {name: a, losses: [b]}]",
        "run.yaml: stages.1.name: expected a name that no earlier stage has, got 'a'",
    ),
    (
        "student: {preset: a, dir: b}",
        "run.yaml: student.dir: expected a preset or a dir, not both, got 'a' and 'b'",
    ),
    ("student: {size: big}", "run.yaml: student.size: expected one of tiny, small, medium, got 'big'"),
    ("train: {batchsize: 3}", "run.yaml: train.batchsize: unknown key; did you mean train.batch_size?"),
    ("batch_size: 3", "run.yaml: batch_size: unknown key; did you mean train.batch_size?"),
    ("train: {max_length: 3}", "run.yaml: train.max_length: unknown key; did you mean data.max_length?"),
    (
        "xyz: 3",
        "run.yaml: xyz: unknown key; expected one of teacher, student, data, train, stages, chosen, ",
    ),
    ("<<: {out: a}", "run.yaml: <<: unknown key; expected one of "),
    ("out: again", "run.yaml, line 5: the key 'out' is there twice"),
    (
        "task: chess",
        "run.yaml: task: expected one of sequence_classification, regression, multi_label, "
        "token_classification, question_answering, got 'chess'",
    ),
]


def test_bad_values(each_row: Callable[..., None], tmp_path: Path) -> None:
    def look(text: str, message: str) -> None:
        assert _error(tmp_path, NEEDED + text).startswith(message)

    each_row(BAD_VALUES, look)


def test_all_missing_keys_in_one_message(tmp_path: Path) -> None:
    text = "data: {train: a, text: b}\nout:\nstages: [{name: a}, {losses: [b]}]\n"
    with pytest.raises(MissingKeysError) as caught:
        load_config(DistillConfig, _write(tmp_path, text))
    keys = ("teacher.dir", "data.label", "stages.0.losses", "stages.1.name", "out")
    assert caught.value.keys == keys
    assert str(caught.value) == f"{tmp_path}/run.yaml: missing keys: {', '.join(keys)}"


def test_missing_keys_without_a_file() -> None:
    with pytest.raises(InputError, match=r"^missing keys: model\.dir, data\.train, data\.text, data\.label$"):
        load_config(FinetuneConfig, None, {"out": "run"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "run.yaml: expected a YAML mapping of configuration keys, got an empty file"),
        (b"# nothing\n", "run.yaml: expected a YAML mapping of configuration keys, got an empty file"),
        (b"- a\n", "run.yaml: expected a YAML mapping of configuration keys, got a list"),
        (b"\x80\x81\xff", "run.yaml: expected a YAML configuration, got a file that is not text in UTF-8"),
        (b"PK\x03\x04\x00\x00", "run.yaml: not YAML ("),
        (b"a: {", "run.yaml, line 1: "),
    ],
)
def test_bad_files(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_config(DistillConfig, path)
    assert str(caught.value).startswith(f"{tmp_path}/{message}")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: expected .* cannot be read \(No such file or directory\)"):
        load_config(DistillConfig, tmp_path / "none.yaml")
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\)"):
        load_config(DistillConfig, tmp_path)


def test_flags_alone() -> None:
    flags = {
        "model.dir": Path("bert"),
        "data.train": "a",
        "data.dev": "b",
        "data.text": "s1,s2",
        "data.label": "1",
        "out": "run",
        "train.epochs": 2,
        "train.batch_size": "16",
        "train.learning_rate": "1e-4",
    }
    assert load_config(FinetuneConfig, None, flags) == FinetuneConfig(
        model=ModelSection("bert"),
        data=Data("a", "b", ("s1", "s2"), "1"),
        train=Train(epochs=2, batch_size=16, learning_rate=1e-4),
        out="run",
    )


def test_flags_win_over_the_file_and_its_stages_and_set_wins_over_flags(tmp_path: Path) -> None:
    path = _write(tmp_path, NEEDED + STAGES + "train: {epochs: 7, seed: 4}\n")
    flags = {"train.epochs": 2, "out": "elsewhere"}
    config = load_config(DistillConfig, path, flags, ["stages.1.epochs=5", "out=third"])
    assert config.out == "third"
    assert config.train == Train(epochs=2, seed=4)
    assert [stage.epochs for stage in config.stages] == [None, 5]
    assert [stage.resolved(config.train).epochs for stage in config.stages] == [2, 5]
    assert config.stages[0].learning_rate == 1e-4


def test_set_alone_leaves_the_stages_as_they_are(tmp_path: Path) -> None:
    config = load_config(DistillConfig, _write(tmp_path, NEEDED + STAGES), {}, ["train.epochs=2"])
    assert [stage.resolved(config.train).epochs for stage in config.stages] == [9, 8]


def test_none_takes_a_value_away(tmp_path: Path) -> None:
    path = _write(tmp_path, NEEDED + "student: {preset: bert-tiny}\n")
    config = load_config(DistillConfig, path, {"student.preset": None, "student.dir": "mine"})
    assert config.student == StudentSection(dir="mine")


def test_settings_are_yaml(tmp_path: Path) -> None:
    settings = [
        "train.learning_rate=1e-3",
        "train.max_steps=null",
        "baseline=true",
        "data.text=[a, b]",
        "stages.0.layer_map=[[1, 2]]",
        "stages.0.losses.0.weight=2",
        "stages.0.losses.1.reduction=tokens",
        "out=a=b",
    ]
    config = load_config(DistillConfig, _write(tmp_path, NEEDED + STAGES), {"train.max_steps": 3}, settings)
    assert config.train == Train(learning_rate=1e-3)
    assert (config.baseline, config.data.text, config.out) == (True, ("a", "b"), "a=b")
    assert config.stages[0].layer_map == ((1, 2),)
    assert config.stages[0].losses == (
        LossSection("embedding", 2.0),
        LossSection("attention", 0.5, {"reduction": "tokens"}),
    )


@pytest.mark.parametrize("given", [{}, {"train": None}, {"train": {"batch_size": 8}}])
@pytest.mark.parametrize("train", ["", "train:\n", "train: {}\n", "train: {batch_size: 8}\n"])
def test_a_section_in_part_keeps_the_defaults_that_its_command_has(
    train: str, given: dict[str, Any], tmp_path: Path
) -> None:
    path = _write(tmp_path, f"corpus: {{files: raw.txt}}\nmodel: {{dir: bert}}\n{train}out: run\n")
    config = load_config(PretrainConfig, path, given, ["train.seed=3"])
    assert (config.train.learning_rate, config.train.seed) == (1e-4, 3)


def test_steps_alone_epochs_alone_and_both(tmp_path: Path) -> None:
    path = _write(tmp_path, NEEDED + STAGES.replace("epochs: 8", "max_steps: 8"))

    def ends(flags: dict[str, Any], *settings: str) -> list[tuple[int | None, int | None]]:
        config = load_config(DistillConfig, path, flags, settings)
        stages = [stage.resolved(config.train) for stage in config.stages]
        return [(stage.epochs, stage.max_steps) for stage in stages]

    assert ends({}) == [(9, None), (None, 8)]
    assert ends({"train.epochs": "2"}) == [(2, None), (2, 8)]
    assert ends({"train.epochs": "2"}, "train.epochs=4") == [(4, None), (4, 8)]
    assert ends({"train.max_steps": "70"}) == [(9, 70), (None, 70)]
    assert ends({"train.max_steps": "70", "train.epochs": "2"}) == [(2, 70), (2, 70)]
    assert ends({}, "stages.0.epochs=null", "stages.0.max_steps=5") == [(None, 5), (None, 8)]


def test_a_weight_that_changes(tmp_path: Path) -> None:
    config = load_config(DistillConfig, _write(tmp_path, NEEDED + CHANGING), {}, ["stages.0.losses.0.weight.steps=20"])
    assert config.stages[0].losses == (LossSection("b", WeightSection(1.0, 0.5, 20), {"margin": 2}),)


def test_settings_reach_the_default_stages(tmp_path: Path) -> None:
    config = load_config(
        DistillConfig, _write(tmp_path, NEEDED), {}, ["stages.1.epochs=4", "stages.0.losses.2.weight=3"]
    )
    assert [stage.epochs for stage in config.stages] == [None, 4]
    assert config.stages[0].losses[2] == LossSection("hidden_state", 3.0)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.epochs", "--set 'train.epochs': expected KEY=VALUE, such as train.epochs=3"),
        ("=3", "--set '=3': expected KEY=VALUE, such as train.epochs=3"),
        ("train.epoch=3", "--set train.epoch: unknown key; did you mean train.epochs?"),
        ("trian.epochs=3", "--set trian: unknown key; did you mean train?"),
        ("train.epochs=many", "--set train.epochs: expected an integer, got 'many'"),
        ("train.epochs=0", "--set train.epochs: expected an integer >= 1, got 0"),
        ("train={epochs: 0}", "--set train.epochs: expected an integer >= 1, got 0"),
        ("train.epochs.x=1", "--set train.epochs.x: expected a section to look for 'x' in, got 3"),
        ("stages.2.epochs=1", "--set stages.2.epochs: expected an item from 0 to 1, got '2'"),
        ("stages.a.epochs=1", "--set stages.a.epochs: expected an item from 0 to 1, got 'a'"),
        ("stages.0.losses=[", "--set stages.0.losses, line 1: "),
    ],
)
def test_bad_settings(setting: str, message: str, tmp_path: Path) -> None:
    found = _error(tmp_path, NEEDED + STAGES + "train: {epochs: 3}\n", settings=(setting,))
    assert found.startswith(message)


def test_a_bad_flag_does_not_blame_the_file(tmp_path: Path) -> None:
    text = NEEDED + "train: {epochs: 3}\n"
    assert _error(tmp_path, text, {"train.epochs": "x"}) == "train.epochs: expected an integer, got 'x'"
    assert _error(tmp_path, text + "baseline: x\n", {"train.epochs": 1}).startswith("run.yaml: baseline: ")


@pytest.mark.parametrize(
    "extra", ["", STAGES, CHANGING, STAGES + "student: {dir: a, hidden_size: 8}\ntask: sequence_classification"]
)
def test_round_trip(extra: str, tmp_path: Path) -> None:
    config = load_config(DistillConfig, _write(tmp_path, NEEDED + extra), {"data.text": ["a, b", "1e-4"]})
    text = dump_config(config)
    assert load_config(DistillConfig, _write(tmp_path, text)) == config
    assert "null" not in text


def test_a_dump_is_readable(tmp_path: Path) -> None:
    config = load_config(DistillConfig, _write(tmp_path, NEEDED + STAGES))
    lines = dump_config(config).splitlines()
    assert lines[0] == "teacher: {dir: bert, precision: auto}"
    stages = lines.index("stages:")
    assert lines[stages : stages + 12] == [
        "stages:",
        "- name: first",
        "  losses:",
        "  - {name: embedding, weight: 1.0}",
        "  - {name: attention, weight: 0.5, reduction: paper}",
        "  layer_map:",
        "  - [0, 0]",
        "  - [1, 3]",
        "  projections: shared",
        "  epochs: 9",
        "  learning_rate: 0.0001",
        "- name: second",
    ]


def test_the_given_mappings_are_left_alone(tmp_path: Path) -> None:
    flags = {"train": {"epochs": 2}}
    load_config(DistillConfig, _write(tmp_path, NEEDED), flags, ["train.epochs=5"])
    assert flags == {"train": {"epochs": 2}}


@pytest.mark.parametrize(
    ("written", "value"), [("dev.tsv", "dev.tsv"), ("0.2", 0.2), (0.25, 0.25), ("hub:a/b:dev", "hub:a/b:dev")]
)
def test_dev_is_a_file_or_a_fraction(written: object, value: object, tmp_path: Path) -> None:
    flags = {"model.dir": "m", "data.train": "t", "data.text": "a", "data.label": "b", "out": "run"}
    config = load_config(FinetuneConfig, None, {**flags, "data.dev": written})
    assert config.data.dev == value
    assert load_config(FinetuneConfig, _write(tmp_path, dump_config(config))) == config
    left_out = load_config(FinetuneConfig, None, flags)
    assert (left_out.data.dev, left_out.data.dev_seed) == (0.1, 1)
    assert "dev: 0.1\n" in dump_config(left_out)


@pytest.mark.parametrize("fraction", ["0", "1", "1.5", "-0.1", "nan"])
def test_what_is_no_fraction(fraction: str) -> None:
    flags = {"model.dir": "m", "data.train": "t", "data.text": "a", "data.label": "b", "out": "run"}
    with pytest.raises(InputError, match=r"data\.dev: expected a file, or a fraction of the training data > 0 and < 1"):
        load_config(FinetuneConfig, None, {**flags, "data.dev": fraction})


def test_a_fraction_beside_a_stages_own_file(tmp_path: Path) -> None:
    stages = "stages: [{name: a, losses: [prediction], train: augmented.tsv}]\n"
    text = f"teacher: {{dir: t}}\ndata: {{train: a.tsv, text: b, label: c}}\nout: run\n{stages}"
    with pytest.raises(
        InputError, match=r"data\.dev: expected a file, got 0\.1: texts held out of data\.train may be in"
    ):
        load_config(DistillConfig, _write(tmp_path, text))
