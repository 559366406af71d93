"""`tinybert serve` from outside: it starts, answers, and says what keeps it from it."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_it_answers_until_it_is_stopped(litert_export: Path) -> None:
    command = [sys.executable, "-m", "tinybert_tf", "serve", litert_export, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            line = server.stderr.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+/predict", line)
            assert address is not None, line
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(address.group(), json.dumps({"text": "the film is good"}).encode(), timeout=30) as answer:
                assert json.load(answer)["label"] == "positive"
            with pytest.raises(urllib.error.HTTPError, match="413") as refused:
                opener.open(address.group(), b"x" * (1 << 20) + b"x", timeout=30)
            assert json.load(refused.value) == {"error": "the body has more than 1,048,576 bytes"}
            refused.value.close()
            server.send_signal(signal.SIGINT)
            assert (server.wait(30), server.stderr.read()) == (0, "")
        finally:
            server.kill()


def test_somebody_listens_there(litert_export: Path, tinybert: Callable[..., Any]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = tinybert("serve", litert_export, "--port", port)
    assert command.status == 2
    assert f"--host 127.0.0.1 --port {port}: cannot listen there (Address already in use)" in command.err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--port", "70000"], "--port: expected 0 to 65535, got 70000"),
        (["--batch-size", "0"], "--batch-size: expected an integer >= 1, got '0'"),
        (["--host", "256.0.0.1"], "--host 256.0.0.1 --port 8000: cannot listen there"),
        (["--max-length", "500"], "max_length=500: "),
    ],
)
def test_refusals(flags: list[str], message: str, litert_export: Path, tinybert: Callable[..., Any]) -> None:
    command = tinybert("serve", litert_export, *flags)
    assert command.status == 2
    assert message in command.err
