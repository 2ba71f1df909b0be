"""A model server for the demo, which answers every request with its port."""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Replica(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer any path with the port, which identifies the replica."""
        answer = f"{self.server.server_port}\n".encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Log nothing: a health checker sends a request every half second."""


def main(port: int) -> None:
    """Serve on loopback until standard input ends, which means that the demo has ended."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _Replica)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]))
