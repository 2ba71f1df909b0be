"""A real vllm-router, on ports of the test."""

import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from consumers.processes.embedded import free_port
from tests.support.waiting import wait_until

_START_S = 60.0


def router_program() -> str | None:
    """Return the path of the `vllm-router` of this environment, else of PATH; None for none."""
    beside = Path(sys.executable).parent / "vllm-router"
    return str(beside) if beside.exists() else shutil.which("vllm-router")


with_router = pytest.mark.skipif(
    router_program() is None, reason="no vllm-router: its wheel is of x86-64 and ARM Linux"
)


class RunningRouter:
    """One vllm-router, which begins without workers."""

    def __init__(self, folder: Path) -> None:
        self.port, self._metrics_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / f"router-{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it; return when it answers."""
        self._spawn()
        await wait_until(self._answers, "the router answers", _START_S)

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    async def workers(self) -> set[str]:
        """Return the workers that it has."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/list_workers") as answer,
        ):
            return set((await answer.json())["urls"])

    async def until_workers(self, *urls: str) -> None:
        async def has_them() -> bool:
            return await self.workers() == set(urls)

        await wait_until(has_them, f"the router has the workers {urls}", 30.0)

    async def post(self, path: str, worker: str) -> None:
        """Change its workers without us."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}{path}", params={"url": worker}) as answer,
        ):
            assert answer.status == 200

    def _spawn(self) -> None:
        program = router_program()
        assert program is not None
        ports = ("--port", str(self.port), "--prometheus-port", str(self._metrics_port))
        options = ("--host", "127.0.0.1", *ports, "--policy", "round_robin")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([program, *options], stdout=log, stderr=log)

    async def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        try:
            await self.workers()
        except aiohttp.ClientError:
            return False
        return True


@asynccontextmanager
async def running_router(folder: Path) -> AsyncIterator[RunningRouter]:
    router = RunningRouter(folder)
    try:
        await router.start()
        yield router
    finally:
        router.kill()
