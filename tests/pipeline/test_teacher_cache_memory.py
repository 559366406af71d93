"""Peak memory of training from a teacher's cache, in a process of its own: it does not grow with the cache."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, sys
from pathlib import Path
import keras
import numpy as np
from tinybert_tf.data.batches.batches import Batches
from tinybert_tf.data.tokenizers.tokenized_texts import TokenizedTexts
from tinybert_tf.distillation.distiller import Distiller
from tinybert_tf.distillation.losses import AttentionLoss
from tinybert_tf.distillation.cache.teacher_cache import TeacherCache
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.models.encoder.encoder import TransformerEncoder
from tinybert_tf.models.teaching.teacher import Teacher
from tinybert_tf.pipeline.parts.ask_teacher import with_teacher_features

LENGTH, STEPS = 128, 20
rows = int(sys.argv[2])
keras.utils.set_random_seed(1)
sizes = {"hidden_size": 24, "num_attention_heads": 12, "intermediate_size": 24, "num_hidden_layers": 1}
config = EncoderConfig(vocab_size=50, **sizes)
ids = np.random.default_rng(1).integers(1, 50, rows * LENGTH).astype(np.int32)
tokens = TokenizedTexts(ids, np.zeros(len(ids), np.int8), np.arange(rows + 1) * LENGTH)
distiller = Distiller(Teacher(TransformerEncoder(config)), TransformerEncoder(config), losses=[AttentionLoss()])
distiller.compile(optimizer="sgd")
batches = Batches(tokens, None, batch_size=2, seed=1)
cached = with_teacher_features(batches, distiller, TeacherCache(sys.argv[1]))
Path("/proc/self/clear_refs").write_text("5")  # the peak starts again at what is resident now
distiller.fit(cached, epochs=1, steps_per_epoch=STEPS, verbose=0)
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
size = sum(file.stat().st_size for file in Path(sys.argv[1]).rglob("*.bin"))
print(json.dumps({"peak": 1024 * int(status["VmHWM"].split()[0]), "cache": size}))
"""


@pytest.mark.alone
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc/self/clear_refs")
def test_ten_times_the_cache_takes_no_more_memory(tmp_path: Path) -> None:
    def trained(rows: int) -> dict[str, int]:
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / str(rows)), str(rows)]
        return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))

    small, large = trained(64), trained(640)
    print(small, large)
    more = large["cache"] - small["cache"]
    assert more > 200_000_000
    assert large["peak"] - small["peak"] < more / 4  # the allocator's own noise: 5 to 30 MB
