"""The checker before a real model server: llama.cpp, with a tiny model, on the CPU."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE

import anyio
import pytest
from aiohttp import ClientSession
from anyio.abc import Process
from msgspec.structs import replace

from consumers.processes.embedded import free_port
from events.catalogue.deep_check import DeepCheck
from producers.checker.probe import open_session
from tests.producers.support.checker_ports import CHECK, LOOPBACK, QUICK, Bench, route_on
from tests.support.model_environment import MISSING, PYTHON, is_installed
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(not is_installed(), reason=MISSING)

PROGRAM = Path(__file__).parents[1] / "support" / "llama_program.py"
TOKENS = "llamacpp:tokens_predicted_total "
DEEP = DeepCheck(interval=0.5, max_wait_time=30.0, max_retries=2, traffic_window=0, model="tiny")
WARMING = replace(
    CHECK, interval=0.1, max_wait_time=2.0, max_retries=1, warm_up_time=600.0, deep=DEEP
)
PACED = replace(QUICK, reported_gap_s=0.05, warm_up_interval_s=0.1)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with open_session(LOOPBACK) as session:
        made = Bench(session)
        yield made
        await made.aclose()


@asynccontextmanager
async def model_server(port: int, folder: Path) -> AsyncIterator[Process]:
    command = [str(PYTHON), str(PROGRAM), str(folder / "tiny.gguf"), str(port)]
    async with await anyio.open_process(
        command, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.kill()


async def tokens_made(port: int) -> float:
    """Return how many tokens the server says that it has made."""
    async with ClientSession() as client, client.get(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(TOKENS))


async def until_recorded(bench: Bench, *statuses: str) -> None:
    await wait_until(
        lambda: bench.records.statuses == list(statuses), f"recorded: {statuses}", timeout_s=60
    )


async def test_a_real_model_server_is_healthy_once_it_has_made_a_token(
    bench: Bench, tmp_path: Path
) -> None:
    port = free_port()
    bench.table.put(route_on(port), check=WARMING)
    async with bench.checker(PACED) as checker:
        await wait_until(lambda: len(checker.last_results()) == 1, "its closed port is noticed")
        async with model_server(port, tmp_path) as process:
            await until_recorded(bench, "healthy")
            assert await tokens_made(port) >= 1
            os.kill(process.pid, signal.SIGSTOP)
            await until_recorded(bench, "healthy", "unhealthy")
            os.kill(process.pid, signal.SIGCONT)
            await until_recorded(bench, "healthy", "unhealthy", "healthy")
        await until_recorded(bench, "healthy", "unhealthy", "healthy", "unhealthy")
    assert bench.records.reasons[-1] == ("connection refused", 1)
