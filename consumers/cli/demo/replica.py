"""A replica of the demo: the process of a model server, and the route to it."""

import signal
import subprocess
import sys
from uuid import UUID, uuid4

import anyio
from anyio.abc import Process

from consumers.processes.supervisor import send_signal
from events.catalogue.route import RouteRecord

_START_TIMEOUT_S = 20.0


class DemoError(Exception):
    """The demo cannot run on this machine as it is now."""


class Replica:
    """One model server on a loopback port that it keeps when it is killed and restarted.

    Attributes:
        labels: Those of its route.
    """

    program = "consumers.cli.demo.model_server"

    def __init__(self, app: str, **labels: str) -> None:
        self.app = app
        self.labels = labels
        self.port = 0
        self.route_id: UUID = uuid4()
        self._session_id = uuid4()
        self._process: Process | None = None

    async def start(self) -> None:
        """Start the process; return when it listens."""
        command = [sys.executable, "-P", "-m", self.program, str(self.port)]
        self._process = process = await anyio.open_process(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the demo alone, which then ends all
        )
        try:
            with anyio.fail_after(_START_TIMEOUT_S):
                self.port = int(await process.stdout.receive()) if process.stdout else 0
        except (anyio.EndOfStream, TimeoutError, ValueError):
            raise DemoError(
                f"a model server for {self.app} did not start on port {self.port}: see whether the"
                " machine has ports, files and memory left"
            ) from None

    async def kill(self) -> None:
        """Kill the process, as a crash would end it."""
        process, self._process = self._process, None
        if process is not None:
            send_signal(process, signal.SIGKILL)
            await process.aclose()

    @property
    def record(self) -> RouteRecord:
        """The route to the replica, as the manager would list it."""
        return RouteRecord(
            route_id=self.route_id,
            session_id=self._session_id,
            app=self.app,
            kernel_host="127.0.0.1",
            kernel_port=self.port,
            status="running",
            labels=self.labels,
        )
