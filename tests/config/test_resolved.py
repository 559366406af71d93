"""What stands in a run's `config.yaml`: every default that a run has."""

from __future__ import annotations

import dataclasses

from tinybert_tf.config.models import ModelSection, StudentSection, TeacherSection
from tinybert_tf.config.pretraining import CorpusSection, PretrainConfig
from tinybert_tf.config.resolved import resolved
from tinybert_tf.config.schema import Data, DistillConfig, FinetuneConfig, Train
from tinybert_tf.config.tasks import MAIN_METRIC
from tinybert_tf.metrics import TASK_METRICS

DATA = Data(train="train.tsv", dev="dev.tsv", text=("sentence",), label="label")
DISTILL = DistillConfig(teacher=TeacherSection("teacher"), data=DATA, out="run")


def test_metrics_are_those_that_are_measured() -> None:
    assert {task: measured.main for task, measured in TASK_METRICS.items()} == MAIN_METRIC


def test_the_length_and_rate_of_a_pretraining() -> None:
    corpus = CorpusSection(files=("raw.txt",))
    pretrain = PretrainConfig(model=StudentSection(dir="bert"), corpus=corpus, train=Train(seed=3), out="run")
    assert resolved(pretrain).train == Train(seed=3, epochs=1, learning_rate=1e-4)
    bounded = dataclasses.replace(pretrain, train=Train(max_steps=7, learning_rate=1e-3))
    assert resolved(bounded).train == bounded.train


def test_what_data_and_models_decide_stays_open() -> None:
    finetune = FinetuneConfig(model=ModelSection("bert"), data=DATA, out="run")
    assert (resolved(finetune).train, resolved(finetune).metric) == (finetune.train, "accuracy")
    assert (resolved(DISTILL).train, resolved(DISTILL).stages) == (DISTILL.train, DISTILL.stages)


def test_what_is_given_stays() -> None:
    for train in (Train(epochs=5), Train(max_steps=7), Train(epochs=5, max_steps=7)):
        assert resolved(dataclasses.replace(DISTILL, train=train, metric="f1_macro")).train == train
    assert resolved(dataclasses.replace(DISTILL, metric="f1_macro")).metric == "f1_macro"


def test_resolving_again_changes_nothing() -> None:
    assert resolved(resolved(DISTILL)) == resolved(DISTILL)
