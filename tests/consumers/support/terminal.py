"""The routestream command as a person runs it: in a terminal of some size, or in a shell."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

ROUTESTREAM = str(Path(sys.executable).with_name("routestream"))
DEADLINE_S = 60


def environment_of(url: str, namespace: str, **more: str) -> dict[str, str]:
    plain = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "COLUMNS", "LINES"}}
    plain["PATH"] = f"{Path(ROUTESTREAM).parent}:{plain.get('PATH', '')}"
    return {
        **plain,
        "REDIS_URL": url,
        "ROUTESTREAM_NAMESPACE": namespace,
        "TERM": "xterm-256color",
        **more,
    }


async def in_shell(line: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a line of bash."""
    return await run_sync(
        lambda: subprocess.run(
            ["bash", "-c", line],
            env=environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
    )


async def in_terminal(
    arguments: list[str], environment: Mapping[str, str], columns: int, until: str | None = None
) -> str:
    """Return what the command draws on a terminal; it is ended once *until* was drawn."""
    return await run_in_terminal([ROUTESTREAM, *arguments], environment, columns, until)


async def run_in_terminal(
    command: list[str], environment: Mapping[str, str], columns: int, until: str | None = None
) -> str:
    """Return what any program draws on a terminal."""
    with anyio.fail_after(DEADLINE_S + 5):
        return await run_sync(_in_terminal, command, environment, columns, until)


async def all_in_terminal(
    commands: list[list[str]], environment: Mapping[str, str], columns: int
) -> list[tuple[str, str]]:
    """Return what each command draws on one terminal, and its exit code or how it failed else.

    They run in one process, and their talk on standard error is left out.
    """
    command = [sys.executable, "-c", _ONE_BY_ONE, json.dumps(commands)]
    with anyio.fail_after(DEADLINE_S + 5):
        drawn = await run_sync(_in_terminal, command, environment, columns, None)
    parts = [part.rpartition(_END) for part in drawn.split(_BETWEEN)[:-1]]
    return [(screen, end) for screen, _, end in parts]


_END, _BETWEEN = "---------->8", "----------8<"
_ONE_BY_ONE = f"""
import json, os, sys
from consumers.cli.command_tree import routestream
from consumers.cli.exit_codes import exit_code_of
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
for words in json.loads(sys.argv[1]):
    try:
        end = routestream.main(words, standalone_mode=False) or 0
    except SystemExit as error:
        end = error.code
    except Exception as error:
        end = getattr(error, "exit_code", None) or exit_code_of(error) or repr(error)
    print({_END!r} + str(end) + {_BETWEEN!r}, end="", flush=True)
"""


def _in_terminal(
    command: list[str], environment: Mapping[str, str], columns: int, until: str | None
) -> str:
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(command, env=environment, stdin=far, stdout=far, stderr=far)
    os.close(far)
    drawn = bytearray()
    try:
        while until is None or until.encode() not in drawn:
            drawn += os.read(near, 65_536)
    except OSError:
        pass  # the terminal has no program any more
    finally:
        process.terminate()
        process.wait(DEADLINE_S)
        os.close(near)
    return drawn.decode()
