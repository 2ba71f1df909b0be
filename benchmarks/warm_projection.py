"""Changes over documents that projectors hold already: in this tree, and in an older one.

A process for each partition; the changes are all in the log before the projectors go on.
"""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import anyio
from msgspec import Struct

from benchmarks.program import ROOT, FailedProgramError, Figures, figures_of, python, started
from events import open_log

BEFORE = "6d327f0"
"""The commit beside which the projector is measured."""

_TAKEN_ALONG = ("benchmarks/warm_projector.py", "benchmarks/peers")


class Backlog(Struct, frozen=True):
    """What is projected: so many events of a kind, over so many endpoints."""

    endpoints: int
    events: int
    kind: str = "changes"
    partitions: int = 1


async def projected(backlog: Backlog, url: str, tree: Path = ROOT) -> Figures:
    """Return what the projectors needed, and the memory of the largest."""
    namespace = f"bench-{uuid4()}"
    if backlog.partitions > 1:
        async with open_log(url, namespace=namespace, partitions=backlog.partitions):
            """The log has so many partitions from now on."""
    await filled(url, namespace, "beginnings", backlog, tree)
    return await projected_there(url, namespace, backlog, tree)


async def projected_there(url: str, namespace: str, backlog: Backlog, tree: Path = ROOT) -> Figures:
    """Project the backlog on top of what a log has already."""
    async with AsyncExitStack() as running:
        projectors = []
        for partition in range(backlog.partitions):
            command = _command("project", url, namespace, partition, backlog.events)
            projectors.append(await running.enter_async_context(started(*command, cwd=tree)))
        for projector in projectors:
            await projector.line()
        one_of_each = Backlog(backlog.endpoints, backlog.endpoints, backlog.kind)
        await filled(url, namespace, backlog.kind, one_of_each, tree)
        for projector in projectors:
            await projector.say("hold them")
            await projector.line()
        await filled(url, namespace, backlog.kind, backlog, tree)
        for projector in projectors:
            await projector.say("go")
        return together([await projector.figures() for projector in projectors])


async def filled(url: str, namespace: str, kind: str, backlog: Backlog, tree: Path = ROOT) -> int:
    """Append the beginnings of the backlog's endpoints or its events; return how many those are."""
    command = _command("fill", url, namespace, kind, backlog.endpoints, backlog.events)
    return int((await figures_of(*command, cwd=tree))["events"])


def together(of_each: list[Figures]) -> Figures:
    """Return the figures of processes that shared the events: the slowest ends them."""
    return {
        "per_second": min(one["per_second"] for one in of_each),
        "client_us": sum(one["client_us"] for one in of_each),
        "server_us": max(one["server_us"] for one in of_each),
        "memory_mb": max(one["memory_mb"] for one in of_each),
    }


def _command(role: str, url: str, namespace: str, *arguments: str | int) -> list[str]:
    return python("benchmarks.warm_projector", role, url, namespace, *map(str, arguments))


@asynccontextmanager
async def tree_before() -> AsyncIterator[Path]:
    """Unpack the commit `BEFORE`, with the program that measures it.

    Raises:
        FailedProgramError: This clone does not have the commit.
    """
    with TemporaryDirectory(prefix="routestream-") as name:
        tree, packed = Path(name) / "tree", Path(name) / "before.tar"
        tree.mkdir()
        git = ["git", "archive", "--output", str(packed), BEFORE]
        if (await anyio.run_process(git, cwd=ROOT, check=False, stderr=None)).returncode:
            raise FailedProgramError(f"{BEFORE}: this clone does not have the commit")
        shutil.unpack_archive(packed, tree)
        for path in _TAKEN_ALONG:
            source, target = ROOT / path, tree / path
            shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
        yield tree
