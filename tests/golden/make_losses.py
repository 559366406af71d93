"""Writes more_losses.npz: values and gradients of the losses beside TinyBERT's, in torch, in float64.

Runs in the environment of make_golden.py (torch and numpy are enough):

    golden-env/bin/python tests/golden/make_losses.py

Each function is its paper's formula, written text by text with the padding cut off, pair by pair or neuron by neuron
where the library uses one product for all. Keys are paths: `inputs/<name>`, `<loss>/value`, and `<loss>/gradient` with
respect to the student's tensor, of its whole padded shape (for `fsp`, `gradient/lower` and `gradient/upper`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch  # type: ignore[import-not-found]
from torch.nn import functional  # type: ignore[import-not-found]

LENGTHS = (7, 4, 2, 5, 3)
SEQ_LEN = 7
Tensor = torch.Tensor
Texts = list[Tensor]  # one tensor a text, without its padding


def loss_inputs(seed: int) -> dict[str, np.ndarray]:
    """Student (width 12) and teacher (12 and, `wide`, 20) features; what stands at padding is ten times as large."""
    rng = np.random.default_rng(seed)
    batch = len(LENGTHS)
    mask = (np.arange(SEQ_LEN) < np.array(LENGTHS)[:, None]).astype(np.int32)
    noise = np.where(mask == 1, 1.0, 10.0)
    arrays: dict[str, np.ndarray] = {"mask": mask}

    def draw(key: str, values: np.ndarray) -> None:
        arrays[key] = values.astype(np.float32)

    for who, width in (("student", 12), ("student/upper", 12), ("teacher", 12), ("teacher/upper", 12), ("wide", 20)):
        # Correlated channels and a mean of their own, as hidden states have.
        mixing = rng.standard_normal((width, width)) / np.sqrt(width)
        hidden = rng.standard_normal((batch, SEQ_LEN, width)) @ mixing + rng.standard_normal(width)
        draw(f"hidden/{who}", hidden * noise[:, :, None])
    arrays["hidden/student"][3, 0] *= 8.0  # far from all others: where the Huber loss is linear
    for who, heads, size in (("student", 3, 4), ("teacher", 3, 4), ("wide", 4, 5)):
        draw(f"vectors/{who}", rng.standard_normal((batch, heads, SEQ_LEN, size)) * noise[:, None, :, None])
    for who in ("student", "teacher"):
        scores = 2.0 * rng.standard_normal((batch, 3, SEQ_LEN, SEQ_LEN))
        draw(f"scores/{who}", scores * noise[:, None, None, :] * noise[:, None, :, None])
        draw(f"logits/{who}", 2.0 * rng.standard_normal((batch, 4)))
        draw(f"token_logits/{who}", 2.0 * rng.standard_normal((batch, SEQ_LEN, 4)) * noise[:, :, None])
    arrays["labels"] = np.array([2, 0, 3, -1, 1], np.int32)
    arrays["token_labels"] = np.where(rng.random((batch, SEQ_LEN)) < 0.8, rng.integers(0, 4, (batch, SEQ_LEN)), -100)
    arrays["token_labels"] = arrays["token_labels"].astype(np.int32)
    return arrays


def texts(hidden: Tensor) -> Texts:
    """`(batch, seq_len, ...)` without padding."""
    return [row[:length] for row, length in zip(hidden, LENGTHS, strict=True)]


def texts_of_heads(vectors: Tensor) -> Texts:
    """`(batch, heads, seq_len, size)` without padding, `(heads, length, size)` each."""
    return [row[:, :length] for row, length in zip(vectors, LENGTHS, strict=True)]


def mean(values: list[Tensor]) -> Tensor:
    """The mean of scalars."""
    return torch.stack(values).mean()


# --- logits -----------------------------------------------------------------------------------------------------------


def kl(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher || student) of two vectors of logits: sum p (log p - log q)."""
    p, q = torch.softmax(teacher, dim=-1), torch.softmax(student, dim=-1)
    return (p * (p.log() - q.log())).sum()


def hinton(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 KL of softened predictions, mean over them."""
    return temperature**2 * mean([kl(s / temperature, t / temperature) for s, t in zip(student, teacher, strict=True)])


def standardized(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """arXiv 2403.01878: Z-scores over classes, with 1/K in the variance."""

    def z_score(logits: Tensor) -> Tensor:
        return (logits - logits.mean(-1, keepdim=True)) / logits.std(-1, keepdim=True, correction=0)

    return hinton(z_score(student), z_score(teacher), temperature)


def dkd(student: Tensor, teacher: Tensor, labels: Tensor, alpha: float, beta: float, temperature: float) -> Tensor:
    """arXiv 2203.08679: binary probabilities of the target, and the others' among themselves."""
    values = []
    for s, t, label in zip(student / temperature, teacher / temperature, labels.tolist(), strict=True):
        if label < 0:
            continue
        p, q = torch.softmax(t, dim=-1), torch.softmax(s, dim=-1)
        others = [number for number in range(len(p)) if number != label]
        tckd = p[label] * (p[label] / q[label]).log()
        tckd = tckd + (1 - p[label]) * ((1 - p[label]) / (1 - q[label])).log()
        p_hat, q_hat = p[others] / p[others].sum(), q[others] / q[others].sum()
        nckd = (p_hat * (p_hat / q_hat).log()).sum()
        values.append(temperature**2 * (alpha * tckd + beta * nckd))
    return mean(values)


# --- attention --------------------------------------------------------------------------------------------------------


def attention_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """arXiv 2002.10957: rows of attention probabilities, mean over heads and real tokens."""
    values = []
    for s, t, length in zip(student, teacher, LENGTHS, strict=True):
        for head, row in itertools.product(range(len(s)), range(length)):
            values.append(kl(s[head, row, :length], t[head, row, :length]))
    return mean(values)


def relation(student: Tensor, teacher: Tensor, num_relation_heads: int) -> Tensor:
    """arXiv 2012.15828: scaled dot products among a relation head's vectors, softmaxed, KL."""
    values = []
    for s, t in zip(texts_of_heads(student), texts_of_heads(teacher), strict=True):
        # (heads, length, size) -> (length, heads * size) -> relation heads of (length, relation size)
        s, t = (torch.cat(list(heads), dim=-1).chunk(num_relation_heads, dim=-1) for heads in (s, t))
        for a_s, a_t in zip(s, t, strict=True):
            r_s, r_t = (a @ a.T / a.shape[-1] ** 0.5 for a in (a_s, a_t))
            values += [kl(row_s, row_t) for row_s, row_t in zip(r_s, r_t, strict=True)]
    return mean(values)


# --- hidden states ----------------------------------------------------------------------------------------------------


def cosine(student: Tensor, teacher: Tensor) -> Tensor:
    """DistilBERT's: torch's own cosine embedding loss with target 1, over real tokens."""
    s, t = torch.cat(texts(student)), torch.cat(texts(teacher))
    return functional.cosine_embedding_loss(s, t, torch.ones(len(s), dtype=s.dtype))


def pkd(student: Tensor, teacher: Tensor) -> Tensor:
    """arXiv 1908.09355, of one layer: squared distance of normalised [CLS] states, mean over the batch."""
    pairs = zip(student[:, 0], teacher[:, 0], strict=True)
    return mean([((s / s.norm() - t / t.norm()) ** 2).sum() for s, t in pairs])


def rkd(student: Tensor, teacher: Tensor, distance_weight: float, angle_weight: float) -> Tensor:
    """arXiv 1904.05068, over all pairs and triples of different examples; Huber with delta 1."""
    s, t = student[:, 0], teacher[:, 0]
    pairs = list(itertools.permutations(range(len(s)), 2))

    def distances(x: Tensor) -> dict[tuple[int, int], Tensor]:
        of_pairs = {(i, j): (x[i] - x[j]).norm() for i, j in pairs}
        mu = mean(list(of_pairs.values()))
        return {pair: distance / mu for pair, distance in of_pairs.items()}

    def angle(x: Tensor, i: int, j: int, k: int) -> Tensor:
        return functional.normalize(x[i] - x[j], dim=0) @ functional.normalize(x[k] - x[j], dim=0)

    d_s, d_t = distances(s), distances(t)
    of_pairs = mean([functional.huber_loss(d_s[pair], d_t[pair]) for pair in pairs])
    triples = itertools.permutations(range(len(s)), 3)
    of_triples = mean([functional.huber_loss(angle(s, *triple), angle(t, *triple)) for triple in triples])
    return distance_weight * of_pairs + angle_weight * of_triples


def cka(student: Tensor, teacher: Tensor) -> Tensor:
    """arXiv 1905.00414: 1 - HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)), linear kernels of tokens."""
    x, y = torch.cat(texts(student)), torch.cat(texts(teacher))
    n = len(x)
    centring = torch.eye(n, dtype=x.dtype) - 1 / n

    def hsic(k: Tensor, other: Tensor) -> Tensor:
        return torch.trace(k @ centring @ other @ centring) / (n - 1) ** 2

    k, other = x @ x.T, y @ y.T
    return 1 - hsic(k, other) / (hsic(k, k) * hsic(other, other)).sqrt()


def nst(student: Tensor, teacher: Tensor) -> Tensor:
    """arXiv 1707.01219: squared MMD of normalised neurons, polynomial kernel of degree 2 with c = 0."""
    values = []
    for s, t in zip(texts(student), texts(teacher), strict=True):
        f_s, f_t = (functional.normalize(hidden.T, dim=-1) for hidden in (s, t))  # (neurons, length)

        def kernel(a: Tensor, b: Tensor) -> Tensor:
            return mean([(one @ other) ** 2 for one in a for other in b])

        values.append(kernel(f_t, f_t) + kernel(f_s, f_s) - 2 * kernel(f_s, f_t))
    return mean(values)


def fsp(lower: Tensor, upper: Tensor, teacher_lower: Tensor, teacher_upper: Tensor) -> Tensor:
    """Yim et al., CVPR 2017: sum over places of outer products / places; mean squared difference."""
    values = []
    for parts in zip(*map(texts, (lower, upper, teacher_lower, teacher_upper)), strict=True):
        (l_s, u_s, l_t, u_t), length = parts, len(parts[0])
        g_s = sum(torch.outer(l_s[place], u_s[place]) for place in range(length)) / length
        g_t = sum(torch.outer(l_t[place], u_t[place]) for place in range(length)) / length
        values.append(functional.mse_loss(g_s, g_t))
    return mean(values)


def golden(seed: int) -> dict[str, np.ndarray]:
    """All inputs, values and gradients."""
    inputs = loss_inputs(seed)
    double = {name: torch.from_numpy(values).double() for name, values in inputs.items()}
    labels, token_labels = (torch.from_numpy(inputs[name]).long() for name in ("labels", "token_labels"))
    results = {f"inputs/{name}": values for name, values in inputs.items()}

    def record(key: str, loss: Callable[..., Tensor], **students: str) -> None:
        leaves = {argument: double[name].clone().requires_grad_() for argument, name in students.items()}
        value = loss(**leaves)
        value.backward()
        results[f"{key}/value"] = value.detach().numpy()
        for argument, leaf in leaves.items():
            results[f"{key}/gradient{'' if argument == 'student' else '/' + argument}"] = leaf.grad.numpy()

    def flat(logits: Tensor) -> Tensor:
        return torch.cat(texts(logits))

    z, tokens = double["logits/teacher"], flat(double["token_logits/teacher"])
    of_logits = {
        "kl/1": lambda s, t, _: hinton(s, t, 1.0),
        "kl/2.5": lambda s, t, _: hinton(s, t, 2.5),
        "standardized_kl/2": lambda s, t, _: standardized(s, t, 2.0),
        "logits_mse": lambda s, t, _: mean([functional.mse_loss(a, b) for a, b in zip(s, t, strict=True)]),
        "dkd/1-8-4": lambda s, t, y: dkd(s, t, y, 1.0, 8.0, 4.0),
        "dkd/0.5-2-1": lambda s, t, y: dkd(s, t, y, 0.5, 2.0, 1.0),
    }
    for key, loss in of_logits.items():
        record(key, lambda student, loss=loss: loss(student, z, labels), student="logits/student")
        record(
            f"tokens/{key}",
            lambda student, loss=loss: loss(flat(student), tokens, flat(token_labels)),
            student="token_logits/student",
        )
    record("attention_kl", lambda student: attention_kl(student, double["scores/teacher"]), student="scores/student")
    for key, teacher, heads in (("relation", "teacher", 3), ("relation/2", "wide", 2), ("relation/1", "wide", 1)):
        vectors = double[f"vectors/{teacher}"]
        record(key, lambda student, v=vectors, h=heads: relation(student, v, h), student="vectors/student")
    narrow, wide = double["hidden/teacher"], double["hidden/wide"]
    of_hidden: dict[str, tuple[Callable[..., Tensor], Tensor]] = {
        "cosine": (cosine, narrow),
        "pkd": (pkd, narrow),
        "rkd/1-2": (lambda s, t: rkd(s, t, 1.0, 2.0), wide),
        "rkd/1-0": (lambda s, t: rkd(s, t, 1.0, 0.0), narrow),
        "cka": (cka, wide),
        "nst": (nst, wide),
        "gram": (lambda s, t: fsp(s, s, t, t), narrow),
    }
    for key, (loss, teacher) in of_hidden.items():
        record(key, lambda student, loss=loss, t=teacher: loss(student, t), student="hidden/student")
    record(
        "fsp",
        lambda lower, upper: fsp(lower, upper, narrow, double["hidden/teacher/upper"]),
        lower="hidden/student",
        upper="hidden/student/upper",
    )
    return results


if __name__ == "__main__":
    path = Path(__file__).parent / "more_losses.npz"
    arrays = golden(31)
    np.savez_compressed(path, **arrays)
    print(f"{path.name}: {len(arrays)} arrays, {path.stat().st_size / 1024:.0f} KiB")
