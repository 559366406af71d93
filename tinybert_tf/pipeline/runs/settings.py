"""Reading a run directory's `config.yaml` for the verbs that use the run later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinybert_tf.config.strict_yaml import parse_yaml


def run_settings(model: str | Path) -> dict[str, Any]:
    """Return the resolved config of a run directory; empty if `model` is no run directory."""
    path = Path(model) / "config.yaml"
    if not path.is_file():
        return {}
    found = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    return found if isinstance(found, dict) and isinstance(found.get("data", {}), dict) else {}


@dataclass(frozen=True)
class Reading:
    """How to read labelled data: its task, columns, meaning of integers, and positive class; None if not given."""

    task: str | None = None
    text: str | Sequence[str] | None = None
    label: str | None = None
    labels: Sequence[str] | None = None
    positive: str | None = None

    def completed_by_run(self, model: str | Path) -> Reading:
        """Fill missing values from the run, if `model` is one; its labels are those of its own label column."""
        settings = run_settings(model)
        data = settings.get("data", {})
        own_column = self.label in (None, data.get("label"))
        return Reading(
            self.task or settings.get("task"),
            self.text or data.get("text"),
            self.label or data.get("label"),
            self.labels or (data.get("labels") if own_column else None),
            self.positive or (data.get("positive") if own_column else None),
        )
