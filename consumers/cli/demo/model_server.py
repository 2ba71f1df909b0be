"""The model server: a replica that only says which one it is, and that it is well."""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Replica(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer any path: with the port, by which a replica is known."""
        answer = f"{self.server.server_port}\n".encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing: a probe every half second is no news."""


def main(port: int) -> None:
    """Serve on loopback until standard input ends: then the demo is gone."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _Replica)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]))
