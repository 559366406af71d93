"""A student's labels are its teacher's; what Keras saves, it loads."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from tinybert_tf import (
    BertPretraining,
    Distiller,
    EncoderConfig,
    HiddenStateLoss,
    InputError,
    MaskedLM,
    PredictionLoss,
    SequenceClassifier,
    Teacher,
    TransformerEncoder,
)

CONFIG = EncoderConfig(
    vocab_size=20,
    hidden_size=8,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=12,
    max_position_embeddings=8,
)
IDS = np.array([[3, 4, 5]], "int32")
INPUTS = {"input_ids": IDS, "attention_mask": np.ones_like(IDS)}


def classifier(names: list[str] | None) -> SequenceClassifier:
    return SequenceClassifier(CONFIG, num_labels=2, id2label=names)


def test_a_student_without_names_takes_the_teachers(tmp_path: Path) -> None:
    student = classifier(None)
    Distiller(Teacher(classifier(["negative", "positive"])), student, losses=[PredictionLoss()])
    student.save_pretrained(tmp_path)
    assert SequenceClassifier.from_pretrained(tmp_path).id2label == {0: "negative", 1: "positive"}


def test_another_order_of_labels_is_refused() -> None:
    with pytest.raises(InputError, match=r"'positive', 'negative'.*'negative', 'positive'"):
        Distiller(
            Teacher(classifier(["negative", "positive"])),
            classifier(["positive", "negative"]),
            losses=[PredictionLoss()],
        )


def test_a_distiller_is_not_saved_whole() -> None:
    distiller = Distiller(Teacher(classifier(None)), classifier(None), losses=[PredictionLoss()])
    with pytest.raises(InputError, match="save_weights_only=True"):
        distiller.get_config()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("kind", [SequenceClassifier, MaskedLM, BertPretraining])
def test_keras_loads_what_it_saved(kind: type, tmp_path: Path) -> None:
    model = kind(CONFIG)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(INPUTS)["logits"], model(INPUTS)["logits"])


def test_a_masked_lm_leaves_a_pooler_out(tmp_path: Path) -> None:
    model = MaskedLM(TransformerEncoder(CONFIG, add_pooler=True))
    model.save_pretrained(tmp_path)
    np.testing.assert_array_equal(MaskedLM.from_pretrained(tmp_path)(INPUTS)["logits"], model(INPUTS)["logits"])
    cast = Teacher(model, precision="bfloat16")(INPUTS)["logits"]
    np.testing.assert_allclose(np.asarray(cast, "float32"), model(INPUTS)["logits"], atol=0.02)


def test_a_loss_layer_by_layer_wants_a_mask() -> None:
    with pytest.raises(InputError, match="mask"):
        HiddenStateLoss()(student=np.zeros((1, 2, 3)), teacher=np.zeros((1, 2, 3)))


def test_classes_are_asked_for_where_there_are_some(tmp_path: Path) -> None:
    TransformerEncoder(CONFIG).save_pretrained(tmp_path)
    assert SequenceClassifier.from_pretrained(tmp_path, num_labels=5).num_labels == 5
    assert TransformerEncoder.from_pretrained(tmp_path, num_labels=None).num_hidden_layers == 1
    with pytest.raises(InputError, match="no classes"):
        TransformerEncoder.from_pretrained(tmp_path, num_labels=5)
