"""`tinybert serve`: serves a model's answers over HTTP."""

from __future__ import annotations

import contextlib
import logging
import socket
from pathlib import Path

from tinybert_tf.errors import InputError
from tinybert_tf.export.predictor import Predictor
from tinybert_tf.export.server import make_app
from tinybert_tf.pipeline.runs.log_lines import held_back

logger = logging.getLogger(__name__)


def run_serve(
    model: str | Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    batch_size: int = 32,
    max_length: int | None = None,
) -> None:
    """Serve a model until interrupted; see `tinybert_tf.export.server.make_app`.

    Raises:
        InputError: Starlette or uvicorn is not installed, the server cannot listen at the address, or as `Predictor`.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise InputError(f"uvicorn is not installed ({error}); pip install 'tinybert_tf[serve]'") from None
    with held_back():
        app = make_app(Predictor(model, batch_size=batch_size, max_length=max_length))
    # uvicorn's own log_config would close every log handler of the process.
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", log_config=None))
    listener = listening(host, port)
    address = "http://{}:{}".format(*listener.getsockname()[:2])
    logger.info(f"serve: {model} at {address}/predict; {address}/health tells whether it runs")
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again after its shutdown
        server.run(sockets=[listener])


def listening(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        InputError: the address does not exist, or another process listens there.
    """
    if not 0 <= port < 1 << 16:
        raise InputError(f"--port: expected 0 to 65535, got {port}")
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # clients can connect as soon as they know the address
    except OSError as error:
        listener.close()
        raise InputError(f"--host {host} --port {port}: cannot listen there ({error.strerror or error})") from None
    return listener
