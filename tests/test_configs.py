"""Every shipped config loads, names what it needs, and builds the student and the stages it promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinybert_tf.config.load import load_config
from tinybert_tf.config.schema import DistillConfig
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.models.heads import SequenceClassifier
from tinybert_tf.models.teacher import Teacher
from tinybert_tf.pipeline.stages import Stage, build_distiller
from tinybert_tf.pipeline.student import resolved_init, student_config

CONFIGS = Path(__file__).parents[1] / "configs"
STUDENTS = {
    "sst2.yaml": ("layers", 6, 768, 6),
    "sst2-tinybert-4l-312d.yaml": ("random", 4, 312, 23),
    "sst2-tinybert-6l-768d.yaml": ("layers", 6, 768, 23),
}


@pytest.fixture(scope="module")
def bert_base() -> Teacher:
    """BERT-base's shape, with few words."""
    return Teacher(SequenceClassifier(EncoderConfig.from_preset("bert-base", vocab_size=20)), precision="float32")


def test_every_config_is_listed_here() -> None:
    assert sorted(path.name for path in CONFIGS.glob("*.yaml")) == sorted(STUDENTS)


@pytest.mark.parametrize("name", STUDENTS)
def test_config_builds(name: str, bert_base: Teacher) -> None:
    config = load_config(DistillConfig, CONFIGS / name)
    sizes = student_config(config.student, bert_base.config)
    init, layers, width, epochs = STUDENTS[name]

    assert (sizes.num_hidden_layers, sizes.hidden_size, sizes.num_attention_heads) == (layers, width, 12)
    assert resolved_init(config.student, sizes, bert_base.config) == init

    student = SequenceClassifier(sizes)
    stages = [Stage.from_config(section, config.train) for section in config.stages]
    distillers = [build_distiller(bert_base, student, stage) for stage in stages]
    assert [stage.name for stage in stages] == ["intermediate", "prediction"]
    assert sum(stage.epochs for stage in stages) == epochs
    assert distillers[0].layer_map.layer_pairs()[-1] == (layers, 12)
    assert bool(distillers[0].projections.weights) == (width != 768)


def test_the_comment_names_the_config_itself() -> None:
    for path in CONFIGS.glob("*.yaml"):
        assert f"tinybert distill configs/{path.name}" in path.read_text(encoding="utf-8")
