"""What the benchmarks compare with, as people write it in PyTorch, on public packages only; they start it.

Runs in an environment of its own (`pip install -r benchmarks/peers.txt`). Reads lines from stdin, and answers each with
the seconds it took. `forward MODEL LENGTH N`: N passes of one text through `teacher` or `student`, float32, SDPA.
`steps WAY N`: N steps of TinyBERT's intermediate stage. The ways:

- `plain`: float32, the teacher under `no_grad`, every batch padded to `--padded`;
- `tuned`: batches padded to their longest row; with `--precision bfloat16`, for machines where that is fast, the
  teacher's weights are bfloat16 and the student runs under autocast.

Attention is eager in both: its probabilities are compared, which SDPA does not hand out. Neither is compiled:
`torch.compile` saves nothing here (benchmarks/RESULTS.md).

Both compare attention and hidden states, the latter through a learned projection, clip the gradient's norm, and update
with AdamW.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time

import numpy as np
import torch
from transformers import BertConfig, BertModel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", required=True, help=".npz of `input_ids` (flat) and `offsets`")
    parser.add_argument("--teacher", required=True, help="JSON of the teacher's sizes")
    parser.add_argument("--student", required=True, help="JSON of the student's sizes")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--padded", type=int, default=64)
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"], help="of the tuned loop")
    arguments = parser.parse_args()
    torch.manual_seed(1)
    with np.load(arguments.rows) as arrays:
        rows = np.split(arrays["input_ids"], arrays["offsets"][1:-1])
    order = np.random.default_rng(1).permutation(len(rows))
    batches = [
        [rows[row] for row in order[start : start + arguments.batch_size]]
        for start in range(0, len(rows), arguments.batch_size)
    ]
    sizes = json.loads(arguments.teacher), json.loads(arguments.student)
    loops = {
        "plain": Loop(*sizes, torch.float32, arguments.padded),
        "tuned": Loop(*sizes, getattr(torch, arguments.precision), None),
    }
    print("ready", torch.__version__, flush=True)
    done = dict.fromkeys(loops, 0)
    models = {name: make(size, "sdpa").eval() for name, size in zip(("teacher", "student"), sizes, strict=True)}
    while line := input():
        verb, what, *given, count = line.split()
        begin = time.perf_counter()
        for _ in range(int(count)):
            if verb == "forward":
                with torch.no_grad():
                    models[what](torch.ones(1, int(*given), dtype=torch.long))
            else:
                loops[what].step(batches[done[what] % len(batches)])
                done[what] += 1
        print(time.perf_counter() - begin, flush=True)


class Loop:
    """Teacher, student, and one optimizer step of the second on the first."""

    def __init__(
        self, teacher: dict[str, int], student: dict[str, int], dtype: torch.dtype, padded: int | None
    ) -> None:
        self.teacher = make(teacher).to(dtype).eval()
        self.student = make(student).train()
        self.projection = torch.nn.Linear(student["hidden_size"], teacher["hidden_size"])
        self.parameters = [*self.student.parameters(), *self.projection.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=5e-5, weight_decay=0.01)
        self.padded = padded
        self.autocast = contextlib.nullcontext if dtype == torch.float32 else lambda: torch.autocast("cpu", dtype)
        self.ratio = teacher["num_hidden_layers"] // student["num_hidden_layers"]

    def step(self, rows: list[np.ndarray]) -> None:
        length = self.padded or max(map(len, rows))
        ids = torch.zeros(len(rows), length, dtype=torch.long)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.from_numpy(row[:length].astype(np.int64))
        mask = (torch.arange(length) < torch.tensor([min(len(row), length) for row in rows])[:, None]).long()
        asked = {"attention_mask": mask, "output_hidden_states": True, "output_attentions": True}
        with torch.no_grad():
            theirs = self.teacher(ids, **asked)
        with self.autocast():
            ours = self.student(ids, **asked)
            loss = sum(
                torch.nn.functional.mse_loss(attention.float(), theirs.attentions[(layer + 1) * self.ratio - 1].float())
                for layer, attention in enumerate(ours.attentions)
            ) + sum(
                torch.nn.functional.mse_loss(
                    self.projection(hidden).float(), theirs.hidden_states[layer * self.ratio].float()
                )
                for layer, hidden in enumerate(ours.hidden_states)
            )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()


def make(sizes: dict[str, int], attention: str = "eager") -> BertModel:
    return BertModel(BertConfig(**sizes, attn_implementation=attention), add_pooling_layer=False)


if __name__ == "__main__":
    with contextlib.suppress(EOFError):
        main()
