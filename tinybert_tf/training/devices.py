"""Finding the machine's devices, and choosing precision, XLA and replicas for them."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinybert_tf.errors import InputError
from tinybert_tf.trainable.host_memory import keep_freed_memory

logger = logging.getLogger(__name__)

DTYPE_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}

# The fastest precision from a compute capability on, best first: Ampere introduced bfloat16 and Volta float16 cores.
GPU_PRECISIONS = (((8, 0), "bfloat16"), ((7, 0), "float16"))

# Linux's flags for bfloat16 arithmetic: AVX-512 and AMX on x86-64, the last one on arm64.
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
# Values of ONEDNN_MAX_CPU_ISA that disable bfloat16: with most, TensorFlow ends the process at a bfloat16 product.
WITHOUT_BFLOAT16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")


@dataclass(frozen=True)
class Gpu:
    """One GPU; `compute_capability` is NVIDIA's `(major, minor)`, or None if TensorFlow does not know it."""

    name: str
    compute_capability: tuple[int, int] | None


@dataclass(frozen=True)
class DeviceDescription:
    """The devices from which `choose` decides; `cpu_flags` come from /proc/cpuinfo, empty on systems without it."""

    gpus: tuple[Gpu, ...] = ()
    cpu_name: str = "CPU"
    cpu_flags: frozenset[str] = frozenset()

    @property
    def cpu_has_fast_bfloat16(self) -> bool:
        """Whether the CPU has instructions for bfloat16."""
        return not BFLOAT16_FLAGS.isdisjoint(self.cpu_flags)

    def __str__(self) -> str:
        if not self.gpus:
            return self.cpu_name
        names = Counter(gpu.name for gpu in self.gpus)
        return ", ".join(name if count == 1 else f"{count} x {name}" for name, count in names.items())


@dataclass(frozen=True)
class DeviceChoice:
    """The chosen `precision` (`float32`, `bfloat16` or `float16`), XLA and replicas; `reason` tells why in one line."""

    precision: str
    jit_compile: bool
    num_replicas: int
    reason: str

    @property
    def dtype_policy(self) -> str:
        """The Keras dtype policy of this precision; weights are always float32."""
        return DTYPE_POLICIES[self.precision]


@dataclass(frozen=True)
class Devices:
    """The choice, and the `tf.distribute` strategy if several GPUs share a step."""

    choice: DeviceChoice
    strategy: Any = None

    def scope(self) -> AbstractContextManager[Any]:
        """Return the strategy's scope, in which to make models and optimizers; without a strategy it does nothing."""
        return contextlib.nullcontext() if self.strategy is None else self.strategy.scope()


def describe_devices() -> DeviceDescription:
    """Describe this machine's GPUs, as TensorFlow sees them, and its CPU."""
    import tensorflow as tf

    details = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    gpus = tuple(Gpu(found.get("device_name", "GPU"), found.get("compute_capability")) for found in details)
    cpu_name, cpu_flags = _read_cpuinfo(Path("/proc/cpuinfo"))
    if os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in WITHOUT_BFLOAT16:
        cpu_flags -= BFLOAT16_FLAGS
    return DeviceDescription(gpus, cpu_name, cpu_flags)


def choose(
    description: DeviceDescription, precision: str = "auto", xla: bool | str = "auto", fixed_shapes: bool = False
) -> DeviceChoice:
    """Choose precision, XLA and replicas for the described devices; a pure function.

    `auto` precision is the fastest that all devices support in hardware: bfloat16 on GPUs from compute capability 8.0
    on and on CPUs with bfloat16 instructions, float16 (Keras then scales the loss) on GPUs from 7.0 on, else float32.
    `auto` XLA is on for one GPU if every batch has the same shape, as XLA compiles each new shape again.

    Args:
        description: the devices.
        precision: `auto`, `float32`, `bfloat16` or `float16`.
        xla: whether the step is compiled with XLA; True, False or `auto`.
        fixed_shapes: whether every batch has the same shape.

    Raises:
        InputError: `precision` or `xla` is unknown, float16 is chosen without a GPU, or XLA with several GPUs.
    """
    if precision != "auto" and precision not in DTYPE_POLICIES:
        raise InputError(f"precision: expected one of auto, {', '.join(DTYPE_POLICIES)}, got {precision!r}.")
    if xla != "auto" and not isinstance(xla, bool):
        raise InputError(f"xla: expected true, false or auto, got {xla!r}.")
    if precision == "float16" and not description.gpus:
        raise InputError("precision='float16': a CPU only emulates it, slowly; use 'bfloat16', 'float32' or 'auto'.")
    if xla is True and len(description.gpus) > 1:
        raise InputError(
            f"xla=true: Keras cannot compile a step for {len(description.gpus)} GPUs with XLA; use false or auto."
        )
    precision, why_precision = _auto_precision(description) if precision == "auto" else (precision, "as asked for")
    jit_compile, why_xla = _auto_xla(description, fixed_shapes) if isinstance(xla, str) else (xla, "as asked for")
    if precision == "float32" and _has_tensor_float_32(description):
        why_precision += "; products in TensorFloat-32"
    reason = f"{description}: {precision} ({why_precision}), XLA {'on' if jit_compile else 'off'} ({why_xla})"
    return DeviceChoice(precision, jit_compile, max(len(description.gpus), 1), reason)


def setup_devices(precision: str = "auto", xla: bool | str = "auto", fixed_shapes: bool = False) -> Devices:
    """Choose precision, XLA and replicas for this machine, and set TensorFlow and Keras accordingly.

    Sets memory growth on GPUs and the global Keras dtype policy, and logs the reason of the choice. The process then
    keeps host memory that it has freed (`keep_freed_memory`). Call it before anything is computed.

    Args:
        precision: `float32`, `bfloat16`, `float16`, or `auto` for the fastest that all devices support in hardware.
        xla: whether steps are compiled with XLA: True, False, or `auto` for one GPU with fixed shapes.
        fixed_shapes: whether every batch has the same shape.

    Returns:
        The choice, and a `tf.distribute` strategy if there are several GPUs.

    Raises:
        InputError: `precision` or `xla` is unknown, float16 is chosen without a GPU, or XLA with several GPUs.
    """
    import keras
    import tensorflow as tf

    choice = choose(describe_devices(), precision, xla, fixed_shapes)
    keep_freed_memory()
    for gpu in tf.config.list_physical_devices("GPU"):
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:
            logger.warning("%s: TensorFlow already uses it, and keeps the memory it has taken", gpu.name)
    keras.config.set_dtype_policy(choice.dtype_policy)
    strategy = tf.distribute.MirroredStrategy() if choice.num_replicas > 1 else None
    logger.info(choice.reason)
    return Devices(choice, strategy)


def _has_tensor_float_32(description: DeviceDescription) -> bool:
    """Return whether TensorFlow computes float32 products in TensorFloat-32 (ten bits), as from Ampere on."""
    return any(gpu.compute_capability is not None and gpu.compute_capability >= (8, 0) for gpu in description.gpus)


def _auto_precision(description: DeviceDescription) -> tuple[str, str]:
    """Choose the precision, with the reason."""
    if not description.gpus:
        if description.cpu_has_fast_bfloat16:
            return "bfloat16", "no GPU; the CPU has bfloat16 instructions"
        return "float32", "no GPU, and no bfloat16 instructions in the CPU"
    known = [gpu.compute_capability for gpu in description.gpus if gpu.compute_capability is not None]
    if len(known) < len(description.gpus):
        return "float32", "compute capability unknown"
    lowest = min(known)
    why = f"compute capability {lowest[0]}.{lowest[1]}"
    return next((precision for first, precision in GPU_PRECISIONS if lowest >= first), "float32"), why


def _auto_xla(description: DeviceDescription, fixed_shapes: bool) -> tuple[bool, str]:
    """Choose whether to use XLA, with the reason."""
    if not description.gpus:
        return False, "slower on a CPU"
    if len(description.gpus) > 1:
        return False, "not possible on several GPUs"
    return (True, "fixed shapes") if fixed_shapes else (False, "every new batch shape would be compiled anew")


def _read_cpuinfo(path: Path) -> tuple[str, frozenset[str]]:
    """Read the CPU's name, and the flags of its first core."""
    fields: dict[str, str] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
    flags = fields.get("flags", fields.get("Features", ""))  # x86-64, arm64
    return fields.get("model name") or platform.processor() or "CPU", frozenset(flags.split())
