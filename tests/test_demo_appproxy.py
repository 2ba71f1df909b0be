"""The demo through Backend.AI's own AppProxy."""

import subprocess
from pathlib import Path

import pytest

from consumers.processes.appproxy.errors import NoAppProxyError
from consumers.processes.appproxy.postgresql import postgresql_programs
from tests.consumers.publishers.support.appproxy_environment import environment
from tests.support.demo_run import ROUTESTREAM, assert_holds


@pytest.mark.timeout(300)
@pytest.mark.processes
def test_the_demo_holds_all_its_checks_through_appproxy() -> None:
    assert_holds(35, "--proxy", "appproxy", *appproxy_options())


def appproxy_options() -> tuple[str, ...]:
    """Return what names the environment with AppProxy; skip the test where it cannot be run."""
    try:
        postgresql_programs()
        return ("--appproxy", str(environment("26.9.6").parents[1]))
    except NoAppProxyError as error:
        pytest.skip(str(error))


def test_a_demo_without_appproxy_says_what_it_needs(tmp_path: Path) -> None:
    done = subprocess.run(
        [ROUTESTREAM, "demo", "--proxy", "appproxy", "--appproxy", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 1
    assert f"{tmp_path}/bin/python is no Python that has backend.ai-appproxy" in done.stderr
    assert "PostgreSQL" in done.stderr
    assert "Traceback" not in done.stderr
