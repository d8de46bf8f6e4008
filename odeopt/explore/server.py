"""The server of the page: on this machine alone unless told otherwise, a document for each browser."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator
from typing import Any

from .. import checks
from ..problems import Problem
from .page import application
from .state import State

_FIRST_PORT, _PORTS = 5006, 50
_LARGEST_MESSAGE = 2**20  # bytes; a move takes some hundred
_LIFETIME = 10_000  # milliseconds that the page of a lost connection is kept


def make_server(state: State, given: Problem | None = None, *, address: str = "127.0.0.1",
                port: int | None = None) -> Any:
    """A Bokeh server of the page, not yet running; ``.port`` is where.

    It answers browsers that opened the page at ``address`` (or localhost), and no page of another origin.
    """
    from bokeh.server.server import Server

    port = _free(address) if port is None else checks.integer("port", port, 1, 65535)
    names = {address, "localhost"} if address in ("127.0.0.1", "::1") else {address, "localhost", socket.gethostname()}
    return Server({"/": application(state, given)}, address=address, port=port,
                  allow_websocket_origin=sorted(f"{name}:{port}" for name in names),
                  websocket_max_message_size=_LARGEST_MESSAGE, unused_session_lifetime_milliseconds=_LIFETIME,
                  check_unused_sessions_milliseconds=_LIFETIME // 2)


def _free(address):
    """The first port from 5006 on that nobody listens at."""
    for port in range(_FIRST_PORT, _FIRST_PORT + _PORTS):
        with contextlib.closing(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind((address, port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port from {_FIRST_PORT} to {_FIRST_PORT + _PORTS - 1} at {address}")


def serve(state: State, given: Problem | None = None, *, address: str = "127.0.0.1", port: int | None = None,
          browser: bool = True) -> None:
    """Serve the page until Ctrl-C."""
    server = make_server(state, given, address=address, port=port)
    url = f"http://{'localhost' if address == '127.0.0.1' else address}:{server.port}/?{state.query()}"
    print(f"the page is at {url}\nCtrl-C ends it", flush=True)
    server.start()
    if browser:
        server.io_loop.add_callback(webbrowser.open, url)
    try:
        with _ends_at_interrupt(lambda: server.io_loop.add_callback_from_signal(server.io_loop.stop)):
            server.io_loop.start()
    except KeyboardInterrupt:
        pass
    finally:
        server.stop(wait=False)


@contextlib.contextmanager
def _ends_at_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """A block in which Ctrl-C calls ``stop``; its own handler has the signal after the block.

    A KeyboardInterrupt in the middle of a callback would be lost: a run that it ends keeps and returns what it has
    recorded. A second one is raised where it comes, for a callback that does not end.
    """
    before, came = signal.getsignal(signal.SIGINT), []
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    raising = before

    def interrupted(number, frame):
        came.append(number)
        if len(came) > 1:
            raising(number, frame)
        stop()

    signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        signal.raise_signal(came[0])
