"""Answers over HTTP: the predictor's, computed together, and a clear refusal of everything else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn

from tinybert_tf import InputError, Predictor
from tinybert_tf.export.server import Batcher, Limits, RefusedError, make_app
from tinybert_tf.pipeline.serve import listening


@pytest.fixture(scope="module")
def predictor(litert_export: Path) -> Predictor:
    return Predictor(litert_export)


@contextlib.contextmanager
def served(predictor: Any, limits: Limits | None = None) -> Iterator[httpx2.Client]:
    """A client of a server that listens on a socket, as `tinybert serve` does."""
    listener = listening("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(make_app(predictor, limits), log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        address = "http://{}:{}".format(*listener.getsockname())
        with httpx2.Client(base_url=address, trust_env=False, timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def client(predictor: Predictor) -> Iterator[httpx2.Client]:
    with served(predictor) as client:
        yield client


def test_health(client: httpx2.Client) -> None:
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "labels": ["negative", "positive"], "max_length": 16}


def test_a_text_and_texts(client: httpx2.Client, predictor: Predictor) -> None:
    texts = ["the film is good", "bad"]
    one = client.post("/predict", json={"text": texts[0]})
    assert (one.status_code, one.json()["label"]) == (200, "positive")
    assert one.json()["scores"] == pytest.approx(predictor(texts[0])["scores"], abs=1e-6)
    many = client.post("/predict", json={"texts": [*texts, ["bad", "good"]]})
    assert [answer["label"] for answer in many.json()["answers"][:2]] == ["positive", "negative"]
    assert len(many.json()["answers"]) == 3


REFUSED = [
    (b"x" * 10_000_000, 413, "the body has more than 1,048,576 bytes"),
    (b'{"text": "\xff"}', 400, "the body is not UTF-8 at byte 11"),
    (b"", 400, "the body is not JSON"),
    (b"text=good", 400, "the body is not JSON"),
    (b"[" * 100_000, 400, "the body is not JSON"),
    (b'["good"]', 400, '{"text": "..."}'),
    (b'{"txt": "good"}', 400, '{"text": "..."}'),
    (b'{"texts": "good"}', 400, '{"texts": ["...", ...]}'),
    (b'{"text": "good", "texts": []}', 400, 'the body: expected {"text": "..."}, or {"texts"'),
    (b'{"text": ""}', 422, "text 1: expected a text that is not empty"),
    (b'{"text": 7}', 422, "text 1: expected a text that is not empty, or a pair of them, got 7"),
    (b'{"texts": []}', 422, "texts: expected 1 to 256, got 0"),
    (b'{"texts": ["good", null]}', 422, "text 2: expected a text that is not empty, or a pair of them, got None"),
    (b'{"text": "\\ud800"}', 422, "text 1 is not UTF-8"),
    (json.dumps({"texts": ["good"] * 257}).encode(), 422, "texts: expected 1 to 256, got 257"),
    (
        json.dumps({"texts": [["good", "x" * 150_000], "y" * 50_000]}).encode(),
        422,
        "expected at most 200,000 characters in all, got 200,004",
    ),
]


def test_refusals(each_row: Callable[..., None], client: httpx2.Client) -> None:
    def look(body: bytes, status: int, message: str) -> None:
        answer = client.post("/predict", content=body)
        assert answer.status_code == status
        assert list(answer.json()) == ["error"]
        assert message in answer.json()["error"]
        assert client.post("/predict", json={"text": "good"}).status_code == 200  # and goes on

    each_row(REFUSED, look)


def test_a_large_body_of_unknown_length_is_refused(client: httpx2.Client) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(200):
            yield b"x" * 100_000

    assert client.post("/predict", content=chunks()).status_code == 413


@pytest.mark.parametrize("times", [1, 2, 15])
def test_a_large_body_is_answered_when_it_has_been_sent(times: int, client: httpx2.Client) -> None:
    """Send everything before reading an answer, as many clients do."""
    body = b"x" * (times * (1 << 20) + 1)
    head = f"POST /predict HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    assert b" 413 " in raw(client, head, *(body[start : start + 100_000] for start in range(0, len(body), 100_000)))


def raw(client: httpx2.Client, *parts: bytes, closes: bool = False) -> bytes:
    """Send these bytes and return the answer; `closes`: the client then ends its side."""
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=30) as connection:
        for part in parts:
            connection.sendall(part)
        if closes:
            connection.shutdown(socket.SHUT_WR)
        return connection.recv(1 << 16)


def test_a_length_that_is_too_large_is_refused_before_the_body_comes(client: httpx2.Client) -> None:
    assert b" 413 " in raw(client, b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n{")


@pytest.mark.parametrize("length", [b"many", b"-1", b"1, 2"])
def test_a_length_that_is_no_number(length: bytes, client: httpx2.Client) -> None:
    assert b" 400 " in raw(client, b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: " + length + b"\r\n\r\n")


def test_whoever_leaves_before_the_end_of_a_body_stops_nobody(client: httpx2.Client) -> None:
    raw(client, b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{", closes=True)
    assert client.post("/predict", json={"text": "good"}).status_code == 200


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/predict", 405), ("GET", "/", 404)])
def test_what_is_not_there(method: str, path: str, status: int, client: httpx2.Client) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])


class Slow:
    """Answers each text with itself, when it may; refuses "wrong" and notes what it was given together."""

    batch_size = 4

    def __init__(self) -> None:
        self.may_go = threading.Event()
        self.batches: list[list[str]] = []

    def answer(self, texts: Sequence[str]) -> list[str]:
        self.may_go.wait(10)
        self.batches.append(list(texts))
        if "wrong" in texts:
            raise InputError(f"text {texts.index('wrong') + 1} is wrong")
        return list(texts)


async def answered(slow: Slow, requests: list[list[str]], waiting: int = 100) -> list[Any]:
    """What comes of requests that arrive together, while the first of them is computed."""
    batcher = Batcher(slow, waiting)  # type: ignore[arg-type]
    worker = asyncio.create_task(batcher.work())
    tasks = [asyncio.create_task(batcher.answer(texts)) for texts in requests]
    await asyncio.sleep(0.05)
    slow.may_go.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    worker.cancel()
    return found


def test_what_waits_is_computed_together() -> None:
    slow = Slow()
    assert asyncio.run(answered(slow, [["a"], ["b", "c"], ["d"], ["e", "f"]])) == [["a"], ["b", "c"], ["d"], ["e", "f"]]
    assert slow.batches == [["a", "b", "c", "d"], ["e", "f"]]


def test_one_that_is_wrong_spoils_no_other() -> None:
    found = asyncio.run(answered(Slow(), [["a"], ["b", "wrong"], ["c"]]))
    assert (found[0], found[2]) == (["a"], ["c"])
    assert isinstance(found[1], InputError)
    assert str(found[1]) == "text 2 is wrong"


def test_too_many_wait() -> None:
    found = asyncio.run(answered(Slow(), [["a"]] * 5, waiting=2))
    refused = [each for each in found if isinstance(each, RefusedError)]
    assert [each.status for each in refused] == [503] * len(refused)
    assert len(refused) >= 2
    assert found.count(["a"]) == 5 - len(refused)


def test_too_many_wait_on_sockets() -> None:
    """One is computed and one waits: the others are told to come again, and who waited is answered."""
    slow = Slow()
    slow.label_names, slow.max_length = [], 16  # type: ignore[attr-defined]
    with served(slow, Limits(waiting=1)) as client, ThreadPoolExecutor(6) as pool:

        def ask(text: str) -> tuple[int, Any]:
            answer = client.post("/predict", json={"text": text})
            return answer.status_code, answer.json()

        asked = [pool.submit(ask, text) for text in "abcdef"]
        refused = []
        while len(refused) < 4:
            refused = [each.result() for each in asked if each.done()]
        slow.may_go.set()
        found = [each.result() for each in asked]
    busy = (503, {"error": "too many requests are waiting; try again later"})
    assert refused == [busy] * 4
    assert sorted(status for status, _ in found) == [200, 200, 503, 503, 503, 503]


def test_limits_are_the_servers(predictor: Predictor) -> None:
    with served(predictor, Limits(body_bytes=30, texts=1)) as client:
        assert client.post("/predict", json={"text": "good"}).status_code == 200
        assert client.post("/predict", json={"text": "good" * 10}).status_code == 413
        assert client.post("/predict", json={"texts": ["a", "b"]}).status_code == 422


def test_what_goes_wrong_here_is_said_as_json(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictor, "answer", lambda texts: [{"scores": float("nan")} for _ in texts])
    with served(predictor) as client:
        answer = client.post("/predict", json={"text": "good"})
        assert (answer.status_code, answer.json()) == (500, {"error": "internal error"})
