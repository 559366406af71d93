"""Named sizes of a student, of teachers of every shape."""

from __future__ import annotations

from typing import Any

import pytest

from tinybert_tf import EncoderConfig, InputError
from tinybert_tf.config.models import SIZE_NAMES
from tinybert_tf.evaluation.config_cost import arithmetic_of
from tinybert_tf.models.cut.student import check_cut
from tinybert_tf.models.sizes import NAMED_SIZES, distinct_sizes, named_size, sized

MINILM = EncoderConfig(num_hidden_layers=6, hidden_size=384, intermediate_size=1536)
BASE = EncoderConfig()
ELECTRA = EncoderConfig(
    model_type="electra", embedding_size=128, hidden_size=256, num_attention_heads=4, intermediate_size=1024
)


def shapes(teacher: EncoderConfig) -> dict[str, tuple[int, int, int, int]]:
    """Layers, width, heads and feed-forward units of each distinct size."""
    return {
        name: (each.num_hidden_layers, each.hidden_size, each.num_attention_heads, each.intermediate_size)
        for name, each in distinct_sizes(teacher).items()
    }


def test_of_a_minilm_and_of_a_bert() -> None:
    assert shapes(MINILM) == {
        "tiny": (3, 168, 12, 672),
        "small": (3, 264, 12, 1056),
        "medium": (3, 384, 12, 1536),
    }
    assert shapes(BASE) == {
        "tiny": (6, 336, 12, 1344),
        "small": (6, 504, 12, 2016),
        "medium": (6, 768, 12, 3072),
    }


@pytest.mark.parametrize("teacher", [MINILM, BASE, ELECTRA])
def test_a_tenth_a_quarter_and_half_of_the_arithmetic(teacher: EncoderConfig) -> None:
    shares = [arithmetic_of(each, 64) / arithmetic_of(teacher, 64) for each in distinct_sizes(teacher).values()]
    assert shares == [pytest.approx(0.1, abs=0.005), pytest.approx(0.23, abs=0.02), 0.5]


def test_layers_are_rounded_down_to_one_at_least() -> None:
    layers = [
        sized(name, EncoderConfig(num_hidden_layers=count)).num_hidden_layers
        for name in NAMED_SIZES
        for count in (1, 2, 5)
    ]
    assert layers == [1, 1, 2] * 3


@pytest.mark.parametrize(
    ("sizes", "tiny"),
    [
        # An odd width, a number of units that no rule gives: heads stay even, units a multiple of 8.
        (dict(hidden_size=100, num_attention_heads=5, intermediate_size=333), (6, 40, 5, 136)),
        # Heads of 7 channels become heads of 8.
        (dict(hidden_size=64, num_attention_heads=4, intermediate_size=256), (6, 32, 4, 128)),
        # The teacher has lost heads: the student's make up its width.
        (dict(num_attention_heads=7, head_dim=64, intermediate_size=1111), (6, 336, 7, 488)),
        # As many units as the teacher has, at most.
        (dict(hidden_size=64, num_attention_heads=2, intermediate_size=5), (6, 28, 2, 5)),
    ],
)
def test_unusual_teachers(sizes: dict[str, Any], tiny: tuple[int, ...]) -> None:
    teacher = EncoderConfig(**sizes)
    assert shapes(teacher)["tiny"] == tiny
    for student in distinct_sizes(teacher).values():
        check_cut(student, teacher)
        assert student.head_size == teacher.head_size or student.head_dim is None


def test_medium_keeps_the_heads_of_a_pruned_teacher() -> None:
    teacher = EncoderConfig(num_attention_heads=7, head_dim=64)
    assert (sized("medium", teacher).head_dim, sized("tiny", teacher).head_dim) == (64, None)


def test_embeddings_of_their_own_width() -> None:
    """A student as wide as its embedding tables has no projection, and cannot be cut: it becomes wider."""
    assert shapes(ELECTRA)["tiny"][:2] == (6, 112)
    narrow = EncoderConfig(
        model_type="electra", embedding_size=112, hidden_size=256, num_attention_heads=4, intermediate_size=1024
    )
    assert shapes(narrow)["tiny"][:2] == (6, 120)
    for student in distinct_sizes(narrow).values():
        check_cut(student, narrow)


def test_a_teacher_with_heads_of_eight_keeps_its_width() -> None:
    teacher = EncoderConfig(hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32)
    assert shapes(teacher) == {"medium": (2, 16, 2, 32)}
    assert named_size("tiny", teacher) == named_size("medium", teacher) == {"num_hidden_layers": 2}
    more_heads_than_channels = EncoderConfig(hidden_size=8, num_attention_heads=12, head_dim=4)
    assert list(distinct_sizes(more_heads_than_channels)) == ["medium"]


def test_names() -> None:
    assert tuple(NAMED_SIZES) == SIZE_NAMES
    with pytest.raises(InputError, match=r"^size 'large': expected one of tiny, small, medium\.$"):
        named_size("large", BASE)
