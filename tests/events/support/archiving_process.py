"""A process that archives and ends itself, or finds the disk full, at one exact step.

    python archiving_process.py URL NAMESPACE FOLDER STEP

STEP is `kill:CALL:COUNT:before|after`, CALL one of the system calls that make an archive safe;
`limit:BYTES`, the longest file that may be written; or `none`.
"""

import os
import resource
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import anyio

from events import open_log
from events.archive.errors import ArchiveError
from tests.events.support.archives import archive_in, run


def end_at(call: str, count: int, when: str) -> None:
    """Let the process end at the call's *count*th time, before or after it is carried out."""
    real: Callable[..., Any] = getattr(os, call)
    calls = 0

    @wraps(real)
    def counted(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the call takes
        nonlocal calls
        calls += 1
        if calls == count and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        done = real(*args, **kwargs)
        if calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    setattr(os, call, counted)


async def main(*arguments: str) -> None:
    url, namespace, folder, step = arguments
    kind, *how = step.split(":")
    if kind == "kill":
        end_at(how[0], int(how[1]), how[2])
    if kind == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(how[0]), int(how[0])))
    async with open_log(url, namespace=namespace) as log:
        try:
            written = await run(log, archive_in(Path(folder), log))
        except ArchiveError as error:
            sys.exit(str(error))
        sys.stdout.write(f"{len(written)}\n")


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
