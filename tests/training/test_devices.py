"""What is chosen for which devices, by a table; and what `setup_devices` sets up on this CPU."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import keras
import pytest
import tensorflow as tf

from tinybert_tf import InputError, setup_devices
from tinybert_tf.training import devices
from tinybert_tf.training.devices import DeviceDescription, Devices, Gpu, choose, describe_devices

PASCAL, VOLTA, AMPERE, HOPPER = (
    Gpu("P100", (6, 0)),
    Gpu("V100", (7, 0)),
    Gpu("A100", (8, 0)),
    Gpu("H200", (9, 0)),
)
UNKNOWN = Gpu("Metal", None)


def machine(*gpus: Gpu, flags: str = "") -> DeviceDescription:
    return DeviceDescription(gpus, "Some CPU", frozenset(flags.split()))


PRECISIONS = [
    (machine(), "float32", "float32"),
    (machine(flags="avx2 avx512f"), "float32", "float32"),
    (machine(flags="avx2 avx512_bf16"), "bfloat16", "mixed_bfloat16"),
    (machine(flags="amx_bf16 amx_tile"), "bfloat16", "mixed_bfloat16"),
    (machine(flags="fp asimd bf16"), "bfloat16", "mixed_bfloat16"),
    (machine(PASCAL), "float32", "float32"),
    (machine(PASCAL, flags="avx512_bf16"), "float32", "float32"),
    (machine(VOLTA), "float16", "mixed_float16"),
    (machine(Gpu("T4", (7, 5))), "float16", "mixed_float16"),
    (machine(AMPERE), "bfloat16", "mixed_bfloat16"),
    (machine(HOPPER), "bfloat16", "mixed_bfloat16"),
    (machine(Gpu("B200", (10, 0))), "bfloat16", "mixed_bfloat16"),
    (machine(UNKNOWN), "float32", "float32"),
    (machine(AMPERE, UNKNOWN), "float32", "float32"),
    (machine(HOPPER, VOLTA), "float16", "mixed_float16"),
    (machine(AMPERE, PASCAL), "float32", "float32"),
]


def test_auto_precision(each_row: Callable[..., None]) -> None:
    def look(description: DeviceDescription, precision: str, dtype_policy: str) -> None:
        choice = choose(description)
        assert (choice.precision, choice.dtype_policy) == (precision, dtype_policy)

    each_row(PRECISIONS, look)


@pytest.mark.parametrize(
    ("description", "fixed_shapes", "jit_compile"),
    [
        (machine(), True, False),
        (machine(flags="avx512_bf16"), True, False),
        (machine(AMPERE), True, True),
        (machine(AMPERE), False, False),
        (machine(UNKNOWN), True, True),
        (machine(AMPERE, AMPERE), True, False),
    ],
)
def test_auto_xla(description: DeviceDescription, fixed_shapes: bool, jit_compile: bool) -> None:
    assert choose(description, fixed_shapes=fixed_shapes).jit_compile is jit_compile


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("description", [machine(), machine(PASCAL), machine(UNKNOWN), machine(HOPPER, HOPPER)])
def test_an_explicit_precision_is_taken(description: DeviceDescription, precision: str) -> None:
    assert choose(description, precision).precision == precision
    if description.gpus:
        assert choose(description, "float16").precision == "float16"


@pytest.mark.parametrize("xla", [True, False])
@pytest.mark.parametrize("description", [machine(), machine(AMPERE)])
def test_an_explicit_xla_is_taken(description: DeviceDescription, xla: bool) -> None:
    assert choose(description, xla=xla).jit_compile is xla
    assert choose(description, xla=xla, fixed_shapes=True).jit_compile is xla


@pytest.mark.parametrize(
    ("description", "replicas"), [(machine(), 1), (machine(AMPERE), 1), (machine(*[AMPERE] * 4), 4)]
)
def test_one_replica_a_gpu(description: DeviceDescription, replicas: int) -> None:
    assert choose(description).num_replicas == replicas


@pytest.mark.parametrize(
    ("description", "arguments", "reason"),
    [
        (
            machine(),
            {},
            "Some CPU: float32 (no GPU, and no bfloat16 instructions in the CPU), XLA off (slower on a CPU)",
        ),
        (
            machine(flags="avx512_bf16"),
            {"xla": True},
            "Some CPU: bfloat16 (no GPU; the CPU has bfloat16 instructions), XLA on (as asked for)",
        ),
        (
            machine(HOPPER),
            {},
            "H200: bfloat16 (compute capability 9.0), XLA off (every new batch shape would be compiled anew)",
        ),
        (
            machine(HOPPER),
            {"precision": "float32", "fixed_shapes": True},
            "H200: float32 (as asked for; products in TensorFloat-32), XLA on (fixed shapes)",
        ),
        (
            machine(AMPERE, VOLTA, AMPERE),
            {},
            "2 x A100, V100: float16 (compute capability 7.0), XLA off (not possible on several GPUs)",
        ),
        (
            machine(UNKNOWN),
            {"xla": False},
            "Metal: float32 (compute capability unknown), XLA off (as asked for)",
        ),
    ],
)
def test_the_reason_says_what_and_why(description: DeviceDescription, arguments: dict, reason: str) -> None:
    assert choose(description, **arguments).reason == reason


@pytest.mark.parametrize(
    ("description", "arguments", "message"),
    [
        (machine(), {"precision": "float16"}, "a CPU only emulates it, slowly; use 'bfloat16', 'float32' or 'auto'"),
        (machine(AMPERE, AMPERE), {"xla": True}, "xla=true: Keras cannot compile a step for 2 GPUs"),
        (machine(), {"precision": "int8"}, "precision: expected one of auto, float32, bfloat16, float16, got 'int8'"),
        (machine(AMPERE), {"xla": "on"}, "xla: expected true, false or auto, got 'on'"),
    ],
)
def test_refusals(description: DeviceDescription, arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose(description, **arguments)


def test_cpuinfo_of_x86_and_arm(tmp_path: Path) -> None:
    x86, arm, missing = tmp_path / "x86", tmp_path / "arm", tmp_path / "missing"
    x86.write_text("processor\t: 0\nmodel name\t: Xeon\nflags\t\t: fpu amx_bf16\n\nprocessor\t: 1\nflags\t\t: fpu\n")
    arm.write_text("processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp bf16\nCPU part\t: 0xd40\n")
    assert devices._read_cpuinfo(x86) == ("Xeon", {"fpu", "amx_bf16"})
    assert devices._read_cpuinfo(arm)[1] == {"fp", "bf16"}
    assert devices._read_cpuinfo(missing)[1] == frozenset()
    assert devices._read_cpuinfo(missing)[0]


def test_what_onednn_may_not_use_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow asks the processor, not oneDNN, and a product in bfloat16 then ends the process."""
    monkeypatch.setattr(devices, "_read_cpuinfo", lambda path: ("Xeon", frozenset({"avx512_bf16", "fpu"})))
    for isa, precision in [("avx2", "float32"), ("AVX512_CORE_AMX", "bfloat16"), ("", "bfloat16")]:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", isa)
        assert choose(replace(describe_devices(), gpus=())).precision == precision


def test_gpus_as_tensorflow_describes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    details = {"a": {"device_name": "NVIDIA H200", "compute_capability": (9, 0)}, "b": {}}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: list(details) if kind == "GPU" else [])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", details.__getitem__)
    assert describe_devices().gpus == (Gpu("NVIDIA H200", (9, 0)), Gpu("GPU", None))


@pytest.mark.parametrize(("precision", "policy"), [("float32", "float32"), ("bfloat16", "mixed_bfloat16")])
def test_setup_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, precision: str, policy: str
) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    with caplog.at_level(logging.INFO, logger="tinybert_tf.training.devices"):
        found = setup_devices(precision)
    assert found.choice == choose(describe_devices(), precision)
    assert keras.config.dtype_policy().name == policy
    assert found.strategy is None
    with found.scope():
        assert not tf.distribute.has_strategy()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [("INFO", found.choice.reason)]
    assert "\n" not in found.choice.reason


class FakeStrategy:
    @contextlib.contextmanager
    def scope(self) -> Iterator[str]:
        yield "in scope"


@pytest.mark.parametrize("already_used", [False, True])
def test_setup_on_two_gpus(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, already_used: bool
) -> None:
    grown = []

    def set_memory_growth(gpu: tf.config.PhysicalDevice, enable: bool) -> None:
        if already_used:
            raise RuntimeError("Physical devices cannot be modified after being initialized")
        grown.append((gpu.name, enable))

    physical = [tf.config.PhysicalDevice(f"GPU:{number}", "GPU") for number in range(2)]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: physical)
    monkeypatch.setattr(
        tf.config.experimental,
        "get_device_details",
        lambda gpu: {"device_name": "A100", "compute_capability": (8, 0)},
    )
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", set_memory_growth)
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", FakeStrategy)
    found = setup_devices()
    assert isinstance(found.strategy, FakeStrategy)
    with found.scope() as entered:
        assert entered == "in scope"
    assert found.choice.num_replicas == 2
    assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert grown == ([] if already_used else [("GPU:0", True), ("GPU:1", True)])
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == (2 if already_used else 0)
    assert all("already uses it" in message for message in warned)


def test_without_a_strategy_the_scope_does_nothing() -> None:
    with Devices(choose(machine())).scope() as entered:
        assert entered is None
