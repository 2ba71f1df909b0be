"""A model server for the demo that behaves as vLLM does; what it is told on standard input holds.

`loading`: nothing is answered but 503. `ready`: all is well. `hung`: `/health` is well, and no
other request is answered. `broken`: all requests fail. `flapping`: broken and ready in turn.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TURN_S = 0.9
"""How long a flapping engine is broken, and how long it is ready then."""

STREAM_S = 1.0
"""How long a request for a stream takes."""


class EngineState:
    """What the engine was told to be, changed by one thread and read by others."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._state = "loading"
        self._since = time.monotonic()

    def tell(self, state: str) -> None:
        """Let it be *state* from now on."""
        with self._changed:
            self._state, self._since = state, time.monotonic()
            self._changed.notify_all()

    @property
    def now(self) -> str:
        """Return the state; a flapping engine is broken or ready."""
        with self._changed:
            if self._state != "flapping":
                return self._state
            turn = int((time.monotonic() - self._since) / TURN_S)
            return "ready" if turn % 2 else "broken"

    def wait_while_hung(self) -> None:
        """Return when it is hung no longer."""
        with self._changed:
            self._changed.wait_for(lambda: self._state != "hung")


def handler_of(state: EngineState) -> type[BaseHTTPRequestHandler]:
    """Return what answers requests by *state*."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer with the port, which identifies the engine."""
            if self.path != "/health":
                state.wait_while_hung()
            if state.now in {"loading", "broken"}:
                self._answer(503, b"not ready\n")
                return
            if self.path.endswith("?stream"):
                time.sleep(STREAM_S)
            self._answer(200, f"{self.server.server_port}\n".encode())  # type: ignore[attr-defined]

        def do_POST(self) -> None:
            """Answer one token, as an OpenAI-compatible server does."""
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            state.wait_while_hung()
            if state.now in {"loading", "broken"}:
                self._answer(503, b"not ready\n")
                return
            choice = {"index": 0, "text": "a", "finish_reason": "length"}
            body = {"id": "cmpl-1", "object": "text_completion", "choices": [choice]}
            self._answer(200, json.dumps(body).encode())

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Log nothing: a health checker sends several requests a second."""

    return Handler


def main(port: int, read_line: Callable[[], str]) -> None:
    """Serve on loopback until standard input ends, which means that the demo has ended."""
    state = EngineState()
    server = ThreadingHTTPServer(("127.0.0.1", port), handler_of(state))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    while line := read_line():
        state.tell(line.strip())


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.stdin.readline)
