"""Answers over HTTP: the predictor's, computed together, and a clear refusal of everything else."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tinybert_tf.errors import InputError
from tinybert_tf.export.predictor import Predictor
from tinybert_tf.export.server import Batcher, Limits, RefusedError, make_app


@pytest.fixture(scope="module")
def predictor(litert_export: Path) -> Predictor:
    return Predictor(litert_export)


@pytest.fixture
def client(predictor: Predictor) -> Iterator[TestClient]:
    with TestClient(make_app(predictor)) as client:
        yield client


def test_health(client: TestClient) -> None:
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "labels": ["negative", "positive"], "max_length": 16}


def test_a_text_and_texts(client: TestClient, predictor: Predictor) -> None:
    texts = ["the film is good", "bad"]
    one = client.post("/predict", json={"text": texts[0]})
    assert (one.status_code, one.json()["label"]) == (200, "positive")
    assert one.json()["scores"] == pytest.approx(predictor(texts[0])["scores"], abs=1e-6)
    many = client.post("/predict", json={"texts": [*texts, ["bad", "good"]]})
    assert [answer["label"] for answer in many.json()["answers"][:2]] == ["positive", "negative"]
    assert len(many.json()["answers"]) == 3


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"x" * 10_000_000, 413, "the body has more than 1,048,576 bytes"),
        (b'{"text": "\xff"}', 400, "the body is not UTF-8 at byte 11"),
        (b"", 400, "the body is not JSON"),
        (b"text=good", 400, "the body is not JSON"),
        (b"[" * 100_000, 400, "the body is not JSON"),
        (b'["good"]', 400, '{"text": "..."}'),
        (b'{"txt": "good"}', 400, '{"text": "..."}'),
        (b'{"texts": "good"}', 400, '{"texts": ["...", ...]}'),
        (b'{"text": "good", "texts": []}', 400, "is wanted"),
        (b'{"text": ""}', 422, "text 1 is ''; a text that is not empty"),
        (b'{"text": 7}', 422, "text 1 is 7"),
        (b'{"texts": []}', 422, "0 texts; 1 to 256"),
        (b'{"texts": ["good", null]}', 422, "text 2 is None"),
        (b'{"text": "\\ud800"}', 422, "text 1 is not UTF-8"),
        (json.dumps({"texts": ["good"] * 257}).encode(), 422, "257 texts; 1 to 256"),
        (json.dumps({"texts": [["good", "x" * 150_000], "y" * 50_000]}).encode(), 422, "200,004 characters; 200,000"),
    ],
)
def test_refusals(body: bytes, status: int, message: str, client: TestClient) -> None:
    answer = client.post("/predict", content=body)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert message in answer.json()["error"]
    assert client.post("/predict", json={"text": "good"}).status_code == 200  # and goes on


def test_a_large_body_of_unknown_length_is_refused(client: TestClient) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(200):
            yield b"x" * 100_000

    assert client.post("/predict", content=chunks()).status_code == 413


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/predict", 405), ("GET", "/", 404)])
def test_what_is_not_there(method: str, path: str, status: int, client: TestClient) -> None:
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


def test_limits_are_the_servers(predictor: Predictor) -> None:
    with TestClient(make_app(predictor, Limits(body_bytes=30, texts=1))) as client:
        assert client.post("/predict", json={"text": "good"}).status_code == 200
        assert client.post("/predict", json={"text": "good" * 10}).status_code == 413
        assert client.post("/predict", json={"texts": ["a", "b"]}).status_code == 422


def test_what_goes_wrong_here_is_said_as_json(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictor, "answer", lambda texts: [{"scores": float("nan")} for _ in texts])
    with TestClient(make_app(predictor), raise_server_exceptions=False) as client:
        answer = client.post("/predict", json={"text": "good"})
        assert (answer.status_code, answer.json()) == (500, {"error": "internal error"})
