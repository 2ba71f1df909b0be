"""A real router of a model server, on ports of the test."""

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


ROUTERS = {"vllm-router": (), "sglang-router": ("launch",)}
"""The programs, and what each is given before its options."""


def router_program(name: str) -> str:
    """Return the path of the program of this environment, else of PATH; skip without any."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"no {name}: its wheel is of x86-64 and ARM Linux")
    return found


class RunningRouter:
    """One router, which begins without workers."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
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
            session.get(f"{self.url}/workers") as answer,
        ):
            return {worker["url"] for worker in (await answer.json())["workers"]}

    async def until_workers(self, *urls: str) -> None:
        async def has_them() -> bool:
            return await self.workers() == set(urls)

        await wait_until(has_them, f"the router has the workers {urls}", 30.0)

    async def add(self, worker: str) -> None:
        """Add a worker without us."""
        async with aiohttp.ClientSession() as session:
            if self.name == "vllm-router":
                request = session.post(f"{self.url}/add_worker", params={"url": worker})
            else:
                request = session.post(f"{self.url}/workers", json={"url": worker})
            async with request as answer:
                assert answer.status < 300

    def _spawn(self) -> None:
        program = [router_program(self.name), *ROUTERS[self.name]]
        ports = ("--port", str(self.port), "--prometheus-port", str(self._metrics_port))
        options = ("--host", "127.0.0.1", *ports, "--policy", "round_robin")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([*program, *options], stdout=log, stderr=log)

    async def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            logged = self._log.read_text()
            if "Harmony" in logged:
                pytest.skip(f"{self.name} fetches a vocabulary at its start, and could not")
            raise AssertionError(logged)
        try:
            await self.workers()
        except aiohttp.ClientError:
            return False
        return True


@asynccontextmanager
async def running_router(folder: Path, name: str) -> AsyncIterator[RunningRouter]:
    router = RunningRouter(folder, name)
    try:
        await router.start()
        yield router
    finally:
        router.kill()
