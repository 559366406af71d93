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


def test_the_ends_of_training() -> None:
    finetune = FinetuneConfig(model=ModelSection("bert"), data=DATA, out="run")
    assert (resolved(finetune).train.epochs, resolved(finetune).metric) == (3, "accuracy")
    assert resolved(DISTILL).train.epochs == 3
    corpus = CorpusSection(files=("raw.txt",))
    pretrain = PretrainConfig(model=StudentSection(dir="bert"), corpus=corpus, out="run")
    assert resolved(pretrain).train == dataclasses.replace(pretrain.train, epochs=1)


def test_what_is_given_stays() -> None:
    for train in (Train(epochs=5), Train(max_steps=7), Train(epochs=5, max_steps=7)):
        assert resolved(dataclasses.replace(DISTILL, train=train, metric="f1_macro")).train == train
    assert resolved(dataclasses.replace(DISTILL, metric="f1_macro")).metric == "f1_macro"


def test_epochs_of_the_run_do_not_end_a_stage_that_has_steps() -> None:
    first, second = DISTILL.stages
    stages = (dataclasses.replace(first, max_steps=100_000), second)
    found = resolved(dataclasses.replace(DISTILL, stages=stages))
    assert found.train.epochs is None
    assert [(stage.epochs, stage.max_steps) for stage in found.stages] == [(None, 100_000), (3, None)]


def test_resolving_again_changes_nothing() -> None:
    assert resolved(resolved(DISTILL)) == resolved(DISTILL)
