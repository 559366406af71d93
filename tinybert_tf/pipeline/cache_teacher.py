"""`tinybert cache-teacher`: computes the teacher's features that a distillation compares, and nothing else."""

from __future__ import annotations

from tinybert_tf.distillation.cache.folders import default_directory
from tinybert_tf.pipeline.parts.distillation import Distillation
from tinybert_tf.pipeline.parts.kept_features import cache_teacher


def run_cache_teacher(work: Distillation) -> str:
    """Compute all features that the config's `teacher_cache` allows; return a line for each stage and data set."""
    found = cache_teacher(work, is_asked_for=True)
    lines = []
    for (stage, split), cached in found.items():
        size = sum(cached.num_bytes.values()) / 2**20
        lines.append(f"{split}, stage {work.stages[stage].name}: {', '.join(cached.shapes)}: {size:,.1f} MiB")
    where = work.config.cache_dir or default_directory()
    return "\n".join([*lines, f"in {where}" if lines else "nothing to keep: teacher_cache is off, or too little room"])
