from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FREED_AND_TAKEN_AGAIN = """
import resource, sys
import numpy as np
from tinybert_tf.training.host_memory import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()
np.ones(2**24)  # 128 MiB
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    np.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_memory_is_not_cleared_again() -> None:
    def page_faults(how: str) -> int:
        command = [sys.executable, "-c", FREED_AND_TAKEN_AGAIN, how]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert page_faults("kept") < 0.05 * page_faults("default")
