"""Serving a predictor over HTTP; texts that arrive together are computed together."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tinybert_tf.errors import InputError
from tinybert_tf.export.predictor import Predictor

# A body larger than this many times the limit is not read to its end.
FAR_TOO_LARGE = 16
BODY_KEYS = '{"text": "..."}, or {"texts": ["...", ...]}, where a text may be a pair ["...", "..."]'


@dataclass(frozen=True)
class Limits:
    """The limits of a server: bytes of a body, texts in it and their characters, waiting requests.

    A question's text is read completely, in parts of the model's length, so the characters decide on a request's cost.
    """

    body_bytes: int = 1 << 20
    texts: int = 256
    characters: int = 200_000
    waiting: int = 1024


class RefusedError(Exception):
    """Raised for a request that gets no answer, with the HTTP status and the reason in one line."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass
class _Request:
    texts: Sequence[Any]
    answers: asyncio.Future[list[Any]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Batcher:
    """Computes waiting requests in a thread of its own, up to the predictor's `batch_size` texts at a time."""

    def __init__(self, predictor: Predictor, waiting: int) -> None:
        self.predictor = predictor
        self._waiting: asyncio.Queue[_Request] = asyncio.Queue(waiting)
        self._thread = ThreadPoolExecutor(1)

    async def answer(self, texts: Sequence[Any]) -> list[Any]:
        """Return the answers to a request's texts.

        Raises:
            RefusedError: too many requests are waiting.
            InputError: as `Predictor`.
        """
        request = _Request(texts)
        try:
            self._waiting.put_nowait(request)
        except asyncio.QueueFull:
            raise RefusedError(503, "too many requests are waiting; try again later") from None
        return await request.answers

    async def work(self) -> None:
        """Answer requests until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            requests = [await self._waiting.get()]
            while not self._waiting.empty() and sum(len(each.texts) for each in requests) < self.predictor.batch_size:
                requests.append(self._waiting.get_nowait())
            found = await loop.run_in_executor(self._thread, self._compute, [each.texts for each in requests])
            for request, answers in zip(requests, found, strict=True):
                if request.answers.done():  # the client has gone
                    continue
                if isinstance(answers, Exception):
                    request.answers.set_exception(answers)
                else:
                    request.answers.set_result(answers)

    def _compute(self, requests: list[Sequence[Any]]) -> list[list[Any] | Exception]:
        """Return the answers to each request, or the error of one that has none."""
        try:
            answers = iter(self.predictor.answer([text for texts in requests for text in texts]))
            return [[next(answers) for _ in texts] for texts in requests]
        except Exception as error:
            if len(requests) == 1:
                return [error]
            return [self._compute([texts])[0] for texts in requests]  # an error belongs to one request alone


def make_app(predictor: Predictor, limits: Limits | None = None) -> Any:
    """Make a Starlette application with `POST /predict` and `GET /health`.

    A body is `{"text": ...}`, answered as `Predictor` answers a text, or `{"texts": [...]}`, answered by
    `{"answers": [...]}`. Other requests get `{"error": "..."}` and a status: 400 if the body is not UTF-8 or not such
    JSON, 413 if it is too large, 422 if texts have no answer, 500 after an error of the server, and 503 while too many
    requests are waiting.

    Raises:
        InputError: Starlette is not installed.
    """
    try:
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.requests import ClientDisconnect, Request
        from starlette.responses import JSONResponse
        from starlette.routing import Route
    except ImportError as error:
        raise InputError(f"Starlette is not installed ({error}); pip install 'tinybert_tf[serve]'") from None

    limits = limits or Limits()
    batcher = Batcher(predictor, limits.waiting)

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        worker = asyncio.create_task(batcher.work())
        yield
        worker.cancel()

    async def predict(request: Request) -> JSONResponse:
        try:
            texts, is_one = parse_body(await _read_body(request, limits.body_bytes), limits)
            answers = await batcher.answer(texts)
        except RefusedError as error:
            return JSONResponse({"error": str(error)}, error.status)
        except InputError as error:
            return JSONResponse({"error": str(error)}, 422)
        except ClientDisconnect:
            return JSONResponse({"error": "the body ended early"}, 400)
        return JSONResponse(answers[0] if is_one else {"answers": answers})

    async def health(request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok", "labels": predictor.label_names, "max_length": predictor.max_length})

    async def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    async def failed(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": "internal error"}, 500)  # the log has its traceback

    handlers: Any = {HTTPException: refused, Exception: failed}
    routes = [Route("/predict", predict, methods=["POST"]), Route("/health", health, methods=["GET"])]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)


async def _read_body(request: Any, most: int) -> bytes:
    """Read a request's body.

    A body that is too large is read to its end but not kept, as many clients read no answer before they have sent
    everything. Reading stops at `FAR_TOO_LARGE` times the limit.
    """
    too_large = RefusedError(413, f"the body has more than {most:,} bytes")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > FAR_TOO_LARGE * most:
        raise too_large
    body, size = b"", 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= most:
            body += chunk
        elif size > FAR_TOO_LARGE * most:
            break
    if size > most:
        raise too_large
    return body


def parse_body(body: bytes, limits: Limits) -> tuple[list[Any], bool]:
    """Return the texts of a body, and whether it holds one text that is not in a list.

    Raises:
        RefusedError: the body has another form, or is above a limit.
    """
    try:
        parsed = json.loads(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise RefusedError(400, f"the body is not UTF-8 at byte {error.start + 1}") from None
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, f"the body is not JSON ({error})") from None
    if not isinstance(parsed, dict) or len(parsed) != 1 or not parsed.keys() <= {"text", "texts"}:
        raise RefusedError(400, f"the body: expected {BODY_KEYS}")
    is_one = "text" in parsed
    texts = [parsed["text"]] if is_one else parsed["texts"]
    if not isinstance(texts, list):
        raise RefusedError(400, f"the body: expected {BODY_KEYS}")
    if not 1 <= len(texts) <= limits.texts:
        raise RefusedError(422, f"texts: expected 1 to {limits.texts}, got {len(texts)}")
    parts = [part for text in texts for part in (text if isinstance(text, list) else [text])]
    characters = sum(len(part) for part in parts if isinstance(part, str))
    if characters > limits.characters:
        raise RefusedError(422, f"texts: expected at most {limits.characters:,} characters in all, got {characters:,}")
    return texts, is_one
