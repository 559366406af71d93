"""Stages: from a config, their steps, and the two of TinyBERT one after the other, from Python."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import tinybert_tf as tb
from tinybert_tf import InputError, Stage, distill, tinybert_stages, train_wordpiece
from tinybert_tf.config.schema import (
    Data,
    DistillConfig,
    LossSection,
    StageSection,
    TeacherSection,
    Train,
    WeightSection,
)
from tinybert_tf.data.batches.batches import Batches
from tinybert_tf.pipeline.parts import stages as pipeline_stages
from tinybert_tf.pipeline.parts.splits import WITH_UNLABELLED, own_files, train_split
from tinybert_tf.pipeline.parts.stages import map_of_first_weights, steps_taken, train_stage

TEXTS = ["good film", "bad film", "a good good film", "a bad bad film", "good", "bad", "film good", "film bad"]
LABELS = np.array([1, 0] * 4, "int32")


def make_model(num_hidden_layers: int, seed: int, **sizes: int) -> Any:
    keras.utils.set_random_seed(seed)
    given = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12, **sizes}
    config = tb.EncoderConfig(vocab_size=20, num_hidden_layers=num_hidden_layers, initializer_range=0.2, **given)
    return tb.SequenceClassifier(config, dtype="float32")


@pytest.fixture(scope="module")
def make_batches() -> Callable[[int], Batches]:
    tokenizer = train_wordpiece(TEXTS, vocab_size=20)
    tokens = tokenizer.encode(TEXTS)
    return lambda batch_size: Batches(tokens, LABELS, batch_size, seed=1)


# === From a config ===


def test_a_stages_own_values_win() -> None:
    section = StageSection(
        "one",
        (
            LossSection("attention", 0.5, {"reduction": "paper"}),
            LossSection("prediction", options={"temperature": 2.0}),
        ),
        layer_map="top",
        projections="per_layer",
        epochs=7,
        learning_rate=1e-4,
        schedule="constant",
    )
    train = Train(epochs=2, max_steps=9, learning_rate=1e-3, warmup_fraction=0.5, schedule="cosine", patience=4)
    stage = Stage.from_config(section, train)
    assert (stage.name, stage.layer_map, stage.projections) == ("one", "top", "per_layer")
    assert (stage.epochs, stage.max_steps, stage.learning_rate, stage.warmup_fraction) == (7, 9, 1e-4, 0.5)
    assert (stage.schedule, stage.patience) == ("constant", 4)
    assert [loss.get_config() for loss in stage.losses] == [
        {"weight": 0.5, "name": "attention_loss", "reduction": "paper"},
        {**tb.PredictionLoss().get_config(), "temperature": 2.0},
    ]


def test_a_weight_that_changes() -> None:
    section = LossSection("attention", WeightSection(1.0, 0.25, 100))
    (loss,) = Stage.from_config(StageSection("one", (section,)), Train()).losses
    assert loss.weight == tb.WeightSchedule(1.0, 0.25, 100)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (LossSection("cosinus"), "stage 'one': loss 'cosinus': expected one of embedding, "),
        (
            LossSection("attention", options={"heads": 2}),
            "loss 'attention' has no option 'heads'; it has reduction, weight, name",
        ),
        (LossSection("attention", options={"reduction": "sum"}), "reduction='sum'; expected 'tokens' or 'paper'"),
        (LossSection("prediction", options={"temperature": "hot"}), "temperature"),
        (LossSection("prediction", options={"temperature": 0}), "temperature"),
    ],
)
def test_losses_that_cannot_be(loss: LossSection, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Stage.from_config(StageSection("one", (loss,)), Train())


@pytest.mark.parametrize(("max_steps", "steps"), [(None, 9), (20, 9), (9, 9), (4, 4)])
def test_total_steps(make_batches: Callable[[int], Batches], max_steps: int | None, steps: int) -> None:
    stage = Stage("one", [tb.PredictionLoss()], epochs=3, max_steps=max_steps)
    assert stage.total_steps(len(make_batches(3))) == steps  # 8 rows: the partial batch counts


@pytest.mark.usefixtures("eager")
def test_a_stage_of_steps_takes_as_many_epochs_as_they_are(make_batches: Callable[[int], Batches]) -> None:
    batches = make_batches(3)
    stage = Stage("one", [tb.PredictionLoss()], max_steps=8)
    histories = tb.distill(make_model(2, seed=1, hidden_size=12), make_model(1, seed=2), batches, [stage], verbose=0)
    assert histories["one"].epoch == [0, 1, 2]
    assert stage.total_steps(len(batches)) == 8
    assert batches.epoch == 3
    assert Stage("two", []).total_steps(len(batches)) == 9


@pytest.mark.parametrize(
    ("losses", "watched", "in_words"),
    [
        ([], "dev_f1", "1 epoch without a higher dev f1"),
        ([tb.PredictionLoss()], "dev_f1", "1 epoch without a higher dev f1"),
        ([tb.AttentionLoss(), tb.PredictionLoss()], "dev_f1", "1 epoch without a higher dev f1"),
        ([tb.AttentionLoss(), tb.HiddenStateLoss()], "val_loss", "1 epoch without a lower dev loss"),
    ],
)
def test_what_patience_waits_for(losses: list[tb.DistillationLoss], watched: str, in_words: str) -> None:
    stage = Stage("one", losses, patience=1)
    assert (stage.watched("f1"), stage.early_end("f1")) == (watched, in_words)
    assert Stage("one", losses).early_end("f1") == ""


def test_labels_are_needed_where_a_loss_uses_them() -> None:
    assert not Stage("one", [tb.PredictionLoss(), tb.HiddenStateLoss()]).needs_labels
    assert Stage("one", [tb.HiddenStateLoss(), tb.PredictionLoss(hard_label_weight=0.5)]).needs_labels


def test_files_of_the_stages() -> None:
    def section(name: str, train: str | None, hard_label_weight: float = 0.0) -> StageSection:
        options = {"hard_label_weight": hard_label_weight}
        return StageSection(name, (LossSection("prediction", options=options),), train=train)

    data = Data(train="train.tsv", dev="dev.tsv", text=("a",), label="b")
    sections = (section("a", None), section("b", "more.tsv"), section("c", "more.tsv", 0.5), section("d", "train.tsv"))
    config = DistillConfig(teacher=TeacherSection("t"), data=data, stages=sections, out="run")
    stages = [Stage.from_config(section, config.train) for section in sections]
    trained_on = [train_split(section, stage, data) for section, stage in zip(sections, stages, strict=True)]
    assert trained_on == ["train", "more.tsv", "more.tsv", "train"]
    assert own_files(config, stages) == {"more.tsv": True}
    assert own_files(config, stages[:2] + stages[3:] * 2) == {"more.tsv": False}
    assert own_files(dataclasses.replace(config, baseline=True), stages[:2] + stages[3:] * 2) == {"more.tsv": True}


def test_stages_that_learn_from_a_teacher_take_texts_without_labels() -> None:
    inside, half, hard = (
        StageSection("a", (LossSection("hidden_state"),)),
        StageSection("a", (LossSection("prediction", options={"hard_label_weight": 0.5}),)),
        StageSection("a", (LossSection("prediction", options={"hard_label_weight": 1.0}),)),
    )
    classes = StageSection("a", (LossSection("hidden_state"), LossSection("dkd")))  # needs the class of each row
    own = dataclasses.replace(half, train="own.tsv")
    for more in ({"unlabelled": ("more.tsv",)}, {"augment": 2}):
        data = Data(train="train.tsv", text=("a",), label="b", **more)
        names = [
            train_split(each, Stage.from_config(each, Train()), data) for each in (inside, half, hard, classes, own)
        ]
        assert names == [WITH_UNLABELLED, WITH_UNLABELLED, "train", "train", "own.tsv"]
    without = Data(train="train.tsv", text=("a",), label="b", augment=0)
    assert train_split(half, Stage.from_config(half, Train()), without) == "train"


# === From Python ===


class Records(keras.callbacks.Callback):
    """What was trained, and whether the weights of the head moved, epoch by epoch."""

    def __init__(self, student: Any) -> None:
        super().__init__()
        self.student = student
        self.stages: list[Any] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.stages.append((self.model, self.student.classifier.kernel.numpy().copy()))


def test_two_stages_from_python(make_batches: Callable[[int], Batches]) -> None:
    teacher = tb.Teacher(make_model(2, seed=1, hidden_size=12), precision="float32")
    student = make_model(1, seed=2)
    head = student.classifier.kernel.numpy().copy()
    records = Records(student)
    stages = tinybert_stages(epochs=2, learning_rate=1e-2)
    histories = tb.distill(teacher, student, make_batches(4), stages, make_batches(8), callbacks=[records], verbose=0)
    assert list(histories) == ["intermediate", "prediction"]
    intermediate, prediction = (history.history for history in histories.values())
    inside = {"embedding_loss", "attention_loss", "hidden_state_loss"}
    for history, losses in ((intermediate, inside), (prediction, {"prediction_loss"})):
        losses |= {"loss"}
        assert history.keys() == losses | {f"val_{name}" for name in losses}
        assert history["loss"][1] < history["loss"][0]
        assert len(history["val_loss"]) == 2
    assert records.stages[0][0].layer_map.pairs == ((0, 0), (1, 2), (2, 3))
    np.testing.assert_array_equal(records.stages[1][1], head)  # the first stage leaves the head alone
    assert not np.array_equal(records.stages[2][1], head)


@pytest.mark.usefixtures("eager")
def test_a_cut_student_from_python(make_batches: Callable[[int], Batches]) -> None:
    model, student = make_model(2, seed=1, hidden_size=12), make_model(1, seed=2)
    cut = tb.cut_student(student, model, [(1, 2)], make_batches(4))
    first = {}
    for given in (None, cut):
        stages = tinybert_stages(epochs=1, learning_rate=1e-9)[:1]
        keras.utils.set_random_seed(3)
        histories = tb.distill(tb.Teacher(model), student, make_batches(8), stages, verbose=0, cut=given)
        first[given is None] = histories["intermediate"].history["hidden_state_loss"][0]
    assert first[False] < 0.5 * first[True]


@pytest.mark.usefixtures("eager")
def test_a_teacher_that_is_asked_once(make_batches: Callable[[int], Batches], tmp_path: Path) -> None:
    """The last cache has room for one byte, which is enough where all is there."""
    found = []
    stages = [Stage("inside", [tb.HiddenStateLoss()], epochs=2), Stage("outside", [tb.PredictionLoss()], epochs=2)]
    for cache in (None, tb.TeacherCache(tmp_path / "cache"), tb.TeacherCache(tmp_path / "cache", max_bytes=1)):
        teacher, student = tb.Teacher(make_model(2, seed=1, hidden_size=12), precision="float32"), make_model(1, seed=2)
        keras.utils.set_random_seed(3)
        histories = tb.distill(teacher, student, make_batches(4), stages, verbose=0, teacher_cache=cache)
        found.append([loss for history in histories.values() for loss in history.history["loss"]])
    np.testing.assert_allclose(found[1], found[0], rtol=5e-3)
    np.testing.assert_allclose(found[2], found[1], rtol=1e-5)
    full = tb.TeacherCache(tmp_path / "other", max_bytes=1)
    with pytest.raises(InputError, match=r"other: [\d,]+ bytes are more than max_bytes=1 and the disk have left"):
        tb.distill(tb.Teacher(make_model(2, seed=1)), make_model(1, seed=2), make_batches(4), teacher_cache=full)


def test_what_fit_takes_goes_to_every_stage(
    make_batches: Callable[[int], Batches], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(pipeline_stages, "train_stage", lambda *given, **named: calls.append((given, named)))
    teacher, student = tb.Teacher(make_model(1, seed=1), precision="float32"), make_model(1, seed=2)
    given = {"metrics": ["accuracy"], "callbacks": [Records(student)], "jit_compile": True, "verbose": 2}
    train, dev = make_batches(4), make_batches(8)
    distill(teacher, student, train, validation_data=dev, **given)
    assert [stage.name for (_, stage, *_), _ in calls] == ["intermediate", "prediction"]
    for (model, _, *data), named in calls:
        assert model.student is student
        assert data == [train, dev]
        assert named == given


class FirstEpochs(keras.callbacks.Callback):
    """The epoch of the batches that each epoch of training begins with."""

    def __init__(self, *batches: Batches) -> None:
        super().__init__()
        self.batches = batches
        self.seen: list[list[int]] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.seen.append([batches.epoch for batches in self.batches])


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("max_steps", [None, 3])
def test_no_epoch_is_served_twice(make_batches: Callable[[int], Batches], max_steps: int | None) -> None:
    """Also where `max_steps` ends a stage inside an epoch: as `tinybert distill`, the next stage begins another one."""
    teacher, student = tb.Teacher(make_model(1, seed=1), precision="float32"), make_model(1, seed=2)
    train = make_batches(4)  # two steps an epoch
    first_epochs = FirstEpochs(train)
    stages = [Stage(name, [tb.PredictionLoss()], epochs=2, max_steps=max_steps) for name in ("one", "two")]
    tb.distill(teacher, student, train, stages, callbacks=[first_epochs], verbose=0)
    assert first_epochs.seen == [[0], [1], [2], [3]]
    assert train.epoch == 4


@pytest.mark.usefixtures("eager")
def test_a_stage_with_batches_of_its_own(make_batches: Callable[[int], Batches]) -> None:
    teacher, student = tb.Teacher(make_model(1, seed=1), precision="float32"), make_model(1, seed=2)
    train, own = make_batches(4), make_batches(2)
    first_epochs = FirstEpochs(train, own)
    losses = [tb.PredictionLoss()]
    stages = [
        Stage("one", losses, epochs=1),
        Stage("two", losses, train=own, epochs=2),
        Stage("three", losses, epochs=1),
    ]
    histories = tb.distill(teacher, student, train, stages, callbacks=[first_epochs], verbose=0)
    assert first_epochs.seen == [[0, 0], [1, 1], [1, 2], [3, 3]]
    taken = [
        steps_taken(stage, len(stage.train or train), len(history.epoch))
        for stage, history in zip(stages, histories.values(), strict=True)
    ]
    assert taken == [2, 8, 2]


@pytest.mark.usefixtures("eager")
def test_patience_ends_a_stage(make_batches: Callable[[int], Batches]) -> None:
    """Nothing is learned at this rate: the first epoch's dev loss is never beaten."""
    teacher, student = tb.Teacher(make_model(1, seed=1), precision="float32"), make_model(1, seed=2)
    train, dev = make_batches(4), make_batches(8)
    dev.seed = None  # another order of its rows would be another rounding of their loss
    stages = [Stage("one", [tb.HiddenStateLoss()], epochs=9, patience=2, learning_rate=1e-12)]
    (history,) = tb.distill(teacher, student, train, stages, dev, verbose=0).values()
    assert steps_taken(stages[0], len(train), len(history.epoch)) == 6
    with pytest.raises(InputError, match=r"^stage 'one': patience=2 needs validation_data to watch\.$"):
        tb.distill(teacher, student, train, stages, verbose=0)


@pytest.mark.usefixtures("eager")
def test_the_last_step_leaves_the_schedule_alone(make_batches: Callable[[int], Batches]) -> None:
    model, train = make_model(1, seed=1), make_batches(4)
    stage = Stage("one", [], epochs=4, patience=1, learning_rate=1e-12, warmup_fraction=0.0)
    history = train_stage(model, stage, train, make_batches(8), last_step=7, verbose=0)
    assert int(model.optimizer.iterations) == 7
    assert len(history.epoch) == 4  # and no patience
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-12 * 1 / 8)
    assert train.epoch == 4


@pytest.mark.usefixtures("eager")
def test_the_schedule_of_a_stage(make_batches: Callable[[int], Batches]) -> None:
    model = make_model(1, seed=1)
    train_stage(model, Stage("one", [], epochs=2, learning_rate=1e-3, schedule="constant"), make_batches(4), verbose=0)
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-3)


def test_everything_is_checked_before_anything_is_trained(make_batches: Callable[[int], Batches]) -> None:
    teacher, student = tb.Teacher(make_model(1, seed=1), precision="float32"), make_model(1, seed=2)
    before = [variable.numpy().copy() for variable in student.weights]
    stages = [Stage("good", [tb.PredictionLoss()]), Stage("bad", [tb.HiddenStateLoss()], layer_map=[(1, 9)])]
    with pytest.raises(InputError, match=r"pair \(1, 9\) names teacher layer 9; the teacher has layers 0 to 2"):
        distill(teacher, student, make_batches(4), stages, verbose=0)
    for value, variable in zip(before, student.weights, strict=True):
        np.testing.assert_array_equal(value, variable.numpy())


def test_a_learning_rate_that_breaks_the_model(make_batches: Callable[[int], Batches]) -> None:
    stage = Stage("one", [], epochs=2, learning_rate=1e30, warmup_fraction=0.0)
    with pytest.raises(
        InputError, match=r"stage 'one': .* after step \d of 4 with learning_rate=1e\+30; try a smaller"
    ):
        train_stage(make_model(1, seed=1), stage, make_batches(4), verbose=0)


@pytest.mark.usefixtures("eager")
def test_projections_go_on_from_stage_to_stage(make_batches: Callable[[int], Batches]) -> None:
    """Also over a stage that has none; nothing is learned in the last one."""
    teacher, student = make_model(2, seed=1, hidden_size=12), make_model(1, seed=2)
    stages = [
        Stage("one", [tb.HiddenStateLoss()], epochs=9, learning_rate=1e-1, schedule="constant"),
        Stage("two", [tb.PredictionLoss()], epochs=1, learning_rate=1e-12),
        Stage("three", [tb.HiddenStateLoss()], epochs=1, learning_rate=1e-12),
    ]
    one, _, three = (
        each.history["loss"] for each in tb.distill(teacher, student, make_batches(4), stages, verbose=0).values()
    )
    assert abs(three[0] - one[-1]) < 0.1 * one[0]
    assert one[-1] < 0.5 * one[0]


def test_the_first_weights_are_of_the_first_map_that_is_read() -> None:
    stages = [Stage("one", [tb.PredictionLoss()]), Stage("two", [tb.HiddenStateLoss()], layer_map="bottom")]
    assert map_of_first_weights(stages) == "bottom"
    assert map_of_first_weights(stages[:1]) == "uniform"
