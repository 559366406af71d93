"""A directory's lock keeps others out, and ends with its process."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tinybert_tf.checkpoints.directory_lock import directory_lock

pytest.importorskip("fcntl")

HOLDS_IT = """
import sys, time
from pathlib import Path
from tinybert_tf.checkpoints.directory_lock import directory_lock
with directory_lock(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_it_is_had_by_one_and_goes_with_its_process(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", HOLDS_IT, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "locked\n"
    try:
        with pytest.raises(BlockingIOError), directory_lock(tmp_path, wait=False):
            pass
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()
        other.stdout.close()
    with directory_lock(tmp_path, wait=False):
        assert list(tmp_path.iterdir()) == []
    with directory_lock(tmp_path, wait=False):  # given back
        pass
