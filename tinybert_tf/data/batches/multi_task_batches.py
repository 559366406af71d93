"""Batches of several tasks: every step has a batch of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinybert_tf.data.batches.batch_source import BatchSource, BatchStream
from tinybert_tf.errors import InputError


class MultiTaskBatches(BatchSource):
    """A batch of every task in each step, for `MultiTaskDistiller.fit` and `evaluate`.

    Inputs are named `<task>/<input>`, with the shapes of the task's own batches; labels, if a task's batches have any,
    are `{task: labels}`. An epoch has as many steps as the task with the most batches; the other tasks start over when
    their batches end. The contents of a batch are a function of (epoch, step), as in the sources.

    Args:
        sources: the batches of each task, by the task's name.

    Raises:
        InputError: there are no sources, or a name is empty or has a slash.
    """

    def __init__(self, sources: Mapping[str, BatchSource]) -> None:
        wrong = [name for name in sources if not name or "/" in name]
        if wrong or not sources:
            raise InputError(f"tasks {list(sources)!r}; expected at least one, with names without a slash.")
        super().__init__(sum(source.batch_size for source in sources.values()), None)
        self.sources = dict(sources)
        steps = max(map(len, sources.values()))
        self._streams = {task: BatchStream(source, steps) for task, source in sources.items()}

    def __len__(self) -> int:
        return max(map(len, self.sources.values()))

    @property
    def input_shapes(self) -> Mapping[str, tuple[int | None, ...]]:
        """The shapes of the sources' inputs, under the names `<task>/<input>`."""
        return {
            f"{task}/{name}": shape
            for task, source in self.sources.items()
            for name, shape in source.input_shapes.items()
        }

    def _batch(self, epoch: int, step: int) -> tuple[Any, ...]:
        inputs: dict[str, Any] = {}
        labels: dict[str, Any] = {}
        for task, stream in self._streams.items():
            given, *labelled = stream._batch(epoch, step)
            inputs |= {f"{task}/{name}": values for name, values in given.items()}
            if labelled:
                labels[task] = labelled[0]
        return (inputs, labels) if labels else (inputs,)
