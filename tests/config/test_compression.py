"""The sections of a compression: what they accept, what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinybert_tf import InputError
from tinybert_tf.config.compression import CompressConfig, PruningSection, StructureSection
from tinybert_tf.config.load import dump_config, load_config

PLAIN = """
teacher: {dir: teacher}
student: {dir: student}
data: {train: a.tsv, dev: b.tsv, text: sentence, label: label}
out: run
"""


def load(tmp_path: Path, more: str, *settings: str) -> CompressConfig:
    path = tmp_path / "compress.yaml"
    path.write_text(PLAIN + more, encoding="utf-8")
    return load_config(CompressConfig, path, settings=settings)


def test_sections_and_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, "pruning: {sparsity: 0.8, begin: 0.1}\nstructure: {intermediate_size: 64, rounds: 2}\n")
    assert config.pruning == PruningSection(sparsity=0.8, begin=0.1, end=0.6, schedule="polynomial")
    assert config.structure == StructureSection(intermediate_size=64, rounds=2)
    assert [(stage.name, [loss.name for loss in stage.losses]) for stage in config.stages] == [
        ("compress", ["prediction"])
    ]
    (tmp_path / "again.yaml").write_text(dump_config(config), encoding="utf-8")
    assert load_config(CompressConfig, tmp_path / "again.yaml") == config


def test_a_setting_makes_a_section(tmp_path: Path) -> None:
    config = load(tmp_path, "", "pruning.sparsity=0.25")
    assert config.pruning is not None
    assert config.pruning.sparsity == 0.25
    assert config.structure is None


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [(0.0, 0.6, (0, 180)), (30, 200, (30, 200)), (0.1, 100, (30, 100)), (10, 1, (10, 300))],
)
def test_fractions_and_steps(begin: float, end: float, expected: tuple[int, int]) -> None:
    assert PruningSection(begin=begin, end=end).steps(300) == expected


REFUSED = [
    ("", "structure: expected at least one section of structure, pruning, quantization, clustering"),
    ("quantization: {}\nclustering: {}", "clustering: expected this or `quantization`, not both: "),
    (
        "quantization: {}\nexport: {quantize: float16}",
        "export.quantize: expected none beside the section `quantization`, got 'float16'",
    ),
    ("clustering: {num_clusters: 1}", "clustering.num_clusters: expected an integer >= 2, got 1"),
    ("pruning: {sparsity: 1.0}", "pruning.sparsity: expected a number >= 0 and < 1, got 1.0"),
    ("pruning: {sparsity: -0.5}", "pruning.sparsity: expected a number >= 0 and < 1, got -0.5"),
    ("pruning: {sparsity: .nan}", "pruning.sparsity: expected a number >= 0 and < 1, got nan"),
    ("pruning: {begin: 0.5, end: 0.5}", "pruning.end: expected a place after begin=0.5, got 0.5"),
    ("pruning: {begin: 200, end: 100}", "pruning.end: expected a place after begin=200, got 100"),
    (
        "pruning: {end: 2.5}",
        "pruning.end: expected a fraction of the steps from 0 to 1, or an integer number of steps, got 2.5",
    ),
    (
        "pruning: {begin: -1}",
        "pruning.begin: expected a fraction of the steps from 0 to 1, or an integer number of steps, got -1.0",
    ),
    ("pruning: {frequency: 0}", "pruning.frequency: expected an integer >= 1, got 0"),
    ("pruning: {schedule: linear}", "pruning.schedule: expected one of polynomial, constant, got 'linear'"),
    ("pruning: {sparsty: 0.5}", "pruning.sparsty: unknown key; did you mean pruning.sparsity"),
    ("structure: {rounds: 2}", "structure.num_attention_heads: expected this or intermediate_size, got neither"),
    ("structure: {intermediate_size: 0}", "structure.intermediate_size: expected an integer >= 1, got 0"),
    ("structure: {intermediate_size: 8, rounds: 0}", "structure.rounds: expected an integer >= 1, got 0"),
    (
        "pruning: {}\nbaseline: true",
        "baseline: expected false: a compression is compared with the student that it starts from",
    ),
    (
        "pruning: {}\ntrain: {patience: 1}",
        "train.patience: expected none, since pruning runs to its last step, got 1",
    ),
    (
        "pruning: {}\ntrain: {steps_per_execution: 2}",
        "train.steps_per_execution: expected 1, since pruning keeps its zeros after every step, got 2",
    ),
    (
        "pruning: {}\nstages: [{name: a, losses: [prediction], patience: 2}]",
        "stages.0.patience: expected none, since pruning runs to its last step, got 2",
    ),
]


def test_refused(each_row: Callable[..., None], tmp_path: Path) -> None:
    def look(more: str, message: str) -> None:
        with pytest.raises(InputError) as refused:
            load(tmp_path, more + "\n")
        assert str(refused.value).startswith(f"{tmp_path / 'compress.yaml'}: {message}")

    each_row(REFUSED, look)


def test_structure_alone_may_end_early(tmp_path: Path) -> None:
    config = load(tmp_path, "structure: {intermediate_size: 8}\ntrain: {patience: 1}\n")
    settings: Any = config.train
    assert settings.patience == 1
