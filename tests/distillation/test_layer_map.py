"""Layer maps: the named ones, pairs, the printed table, and every refusal."""

from __future__ import annotations

import pytest

from tinybert_tf import EmbeddingLoss, HiddenStateLoss, InputError, LayerMap, PredictionLoss
from tinybert_tf.distillation.layer_map import NAMED_MAPS


@pytest.mark.parametrize(
    ("layer_map", "pairs"),
    [
        (LayerMap.uniform(4, 12), ((0, 0), (1, 3), (2, 6), (3, 9), (4, 12), (5, 13))),
        (LayerMap.uniform(6, 12), ((0, 0), (1, 2), (2, 4), (3, 6), (4, 8), (5, 10), (6, 12), (7, 13))),
        (LayerMap.uniform(1, 3), ((0, 0), (1, 3), (2, 4))),
        (LayerMap.top(4, 12), ((0, 0), (1, 9), (2, 10), (3, 11), (4, 12), (5, 13))),
        (LayerMap.bottom(4, 12), ((0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 13))),
    ],
)
def test_named_maps(layer_map: LayerMap, pairs: tuple[tuple[int, int], ...]) -> None:
    assert layer_map.pairs == pairs
    assert tuple(layer_map) == pairs
    assert layer_map.embedding_pairs() == pairs[:1]
    assert layer_map.layer_pairs() == pairs[1:-1]


@pytest.mark.parametrize(
    ("depths", "teacher_layers"),
    [
        ((3, 4), [1, 3, 4]),  # 1.33, 2.67, 4
        ((4, 6), [2, 3, 5, 6]),  # 1.5, 3, 4.5, 6; halves go up
        ((5, 12), [2, 5, 7, 10, 12]),  # 2.4, 4.8, 7.2, 9.6, 12
    ],
)
def test_depths_that_do_not_divide(depths: tuple[int, int], teacher_layers: list[int]) -> None:
    assert [teacher for _, teacher in LayerMap.uniform(*depths).layer_pairs()] == teacher_layers


@pytest.mark.parametrize("name", NAMED_MAPS)
@pytest.mark.parametrize(("depth", "teacher_depth"), [(n, m) for m in range(1, 14) for n in range(1, m + 1)])
def test_named_maps_are_strictly_rising(name: str, depth: int, teacher_depth: int) -> None:
    layer_map = LayerMap.resolve(name, depth, teacher_depth)
    assert [student for student, _ in layer_map] == list(range(depth + 2))
    teachers = [teacher for _, teacher in layer_map]
    assert teachers == sorted(set(teachers))
    assert (teachers[0], teachers[-1]) == (0, teacher_depth + 1)
    if name != "bottom":
        assert layer_map.layer_pairs()[-1] == (depth, teacher_depth)


def test_pairs_with_and_without_the_prediction() -> None:
    without = LayerMap.from_pairs([(0, 0), [1, 3], (2, 5)], 2, 6)
    assert without.pairs == ((0, 0), (1, 3), (2, 5), (3, 7))
    assert LayerMap.from_pairs([(0, 0), (1, 3), (2, 5), (3, 7)], 2, 6) == without
    assert LayerMap.resolve([[0, 0], [1, 3], [2, 5]], 2, 6) == without


def test_pairs_in_any_order_and_a_layer_in_several() -> None:
    layer_map = LayerMap.from_pairs([(2, 6), (1, 3), (1, 2)], 2, 6)
    assert layer_map.layer_pairs() == ((2, 6), (1, 3), (1, 2))
    assert layer_map.embedding_pairs() == ()


def test_a_map_is_resolved_to_itself() -> None:
    layer_map = LayerMap.uniform(2, 6)
    assert LayerMap.resolve(layer_map, 2, 6) is layer_map


def test_printed_as_a_table() -> None:
    assert str(LayerMap.uniform(4, 12)) == (
        "student  teacher\n"
        "      0        0  embedding output\n"
        "      1        3\n"
        "      2        6\n"
        "      3        9\n"
        "      4       12\n"
        "      5       13  prediction"
    )


@pytest.mark.parametrize("learned", [False, True])
def test_a_table_of_what_some_losses_read(learned: bool) -> None:
    layer_map = LayerMap.resolve("emd", 2, 4) if learned else LayerMap.uniform(2, 4)
    head, embedding, *layers, prediction = str(layer_map).splitlines()
    inside = [EmbeddingLoss(), HiddenStateLoss()]
    assert layer_map.table(inside).splitlines() == [head, embedding, *layers]
    assert layer_map.table(inside[1:]).splitlines() == [head, *layers]
    assert layer_map.table([PredictionLoss()]).splitlines() == [head, prediction]
    assert layer_map.table([*inside, PredictionLoss()]) == str(layer_map)


def test_a_learned_map_pairs_every_layer_and_prints_as_a_table() -> None:
    layer_map = LayerMap.resolve("emd", 2, 4)
    assert layer_map.layer_pairs() == tuple((student, teacher) for student in (1, 2) for teacher in (1, 2, 3, 4))
    assert layer_map.embedding_pairs() == ((0, 0),)
    assert layer_map.one_to_one() == LayerMap.uniform(2, 4).layer_pairs() == ((1, 2), (2, 4))
    assert LayerMap.top(2, 4).one_to_one() == ((1, 3), (2, 4))
    assert str(layer_map) == (
        "student  teacher\n"
        "      0        0  embedding output\n"
        "      1   1 to 4  learned: emd\n"
        "      2   1 to 4  learned: emd\n"
        "      3        5  prediction"
    )


@pytest.mark.parametrize(
    ("layer_map", "message"),
    [
        ([(1, 7)], r"pair \(1, 7\) maps a prediction to a layer; predictions go together: \(3, 7\)"),
        ([(3, 6)], r"pair \(3, 6\) maps a prediction to a layer"),
        ([(1, 8)], r"pair \(1, 8\) names teacher layer 8; the teacher has layers 0 to 7"),
        ([(4, 1)], r"pair \(4, 1\) names student layer 4; the student has layers 0 to 3"),
        ([(-1, 1)], r"pair \(-1, 1\) names student layer -1"),
        ([(1, -1)], r"pair \(1, -1\) names teacher layer -1"),
        ([(1, 2), (2, 4), (1, 2)], r"pair \(1, 2\) is given twice; expected it once"),
        ([(1, 2, 3)], r"expected pairs \(student_layer, teacher_layer\) of integers, got \(1, 2, 3\)"),
        ([(1, "2")], r"of integers, got \(1, '2'\)"),
        ([(1, 2.0)], r"of integers, got \(1, 2.0\)"),
        ("middle", "'middle' is not known; expected one of uniform, top, bottom, emd, attention, or pairs"),
        (LayerMap.uniform(2, 4), "was made for 2 student and 4 teacher layers; the models have 2 and 6"),
    ],
)
def test_refusals(layer_map: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        LayerMap.resolve(layer_map, 2, 6)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_a_map_needs_a_pair() -> None:
    with pytest.raises(InputError, match="needs at least one pair"):
        LayerMap((), 2, 6)


@pytest.mark.parametrize("name", NAMED_MAPS)
def test_named_maps_refuse_a_deeper_student(name: str) -> None:
    with pytest.raises(InputError, match=f"'{name}': the student has num_hidden_layers=7, the teacher 6;"):
        LayerMap.resolve(name, 7, 6)


def test_pairs_allow_a_deeper_student() -> None:
    assert LayerMap.from_pairs([(3, 1)], 3, 1).pairs == ((3, 1), (4, 2))


def test_pairs_without_depths_are_completed_where_they_meet_their_models():
    pairs = LayerMap.from_pairs([(0, 0), (1, 3), (2, 6)])
    assert LayerMap.resolve(pairs, 2, 6).pairs == ((0, 0), (1, 3), (2, 6), (3, 7))
    assert str(pairs).splitlines()[-1].split() == ["2", "6"]
    with pytest.raises(InputError, match="teacher layer 6"):
        LayerMap.resolve(pairs, 2, 4)
