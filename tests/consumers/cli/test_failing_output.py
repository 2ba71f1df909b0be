"""Where the output goes that cannot be written: it is told in a sentence, with an exit code."""

import pytest

from events import EventLog
from tests.consumers.support.live_view import deploy
from tests.consumers.support.terminal import environment_of, in_shell

FULL = "Error: cannot write the output: no space left on device\n"
CLOSED = "Error: cannot write the output: it is closed\n"


@pytest.fixture
async def environment(log: EventLog, redis_url: str, namespace: str) -> dict[str, str]:
    await deploy(log)
    return environment_of(redis_url, namespace)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("groups ls >/dev/full", FULL),
        ("groups ls >&-", CLOSED),
        ("groups ls >&- <&-", CLOSED),
        ("groups ls -o json >&-", CLOSED),
        ("groups ls -o csv >/dev/full", FULL),
        ("groups ls --watch >/dev/full", FULL),
        ("events range start.. -o jsonl >/dev/full", FULL),
        ("events tail -f >/dev/full", FULL),
        ("events tail -f >&-", CLOSED),
        ("events export - >/dev/full", FULL),
        ("--help >/dev/full", FULL),
        ("completion bash >&-", CLOSED),
        ("endpoints create new --model m --yes >/dev/full", FULL),
    ],
)
async def test_an_output_that_is_full_or_closed_is_told_in_a_sentence(
    environment: dict[str, str], line: str, told: str
) -> None:
    done = await in_shell(f"routestream {line}", environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(told)
    assert "Traceback" not in done.stderr


async def test_a_command_that_prints_nothing_needs_no_output(environment: dict[str, str]) -> None:
    line = "routestream endpoints destroy c4a70000-0000-4000-8000-000000000000 --yes >&- 2>&- <&-"
    assert (await in_shell(line, environment)).returncode == 0


async def test_without_an_input_nobody_can_be_asked(environment: dict[str, str]) -> None:
    line = "routestream endpoints create new --model m <&-"
    done = await in_shell(line, environment)
    assert done.returncode == 2
    assert done.stderr.endswith("add --yes to do it\n")
