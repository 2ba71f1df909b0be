"""The demo's story of routes' lives, as its page shows it."""

import pytest

from consumers.processes.traefik_process import is_traefik_installed
from tests.support.demo_run import PAGE, assert_holds, told


@pytest.mark.timeout(300)
@pytest.mark.processes
def test_the_story_of_routes_lives_holds_all_its_checks() -> None:
    if not is_traefik_installed():
        pytest.skip("the extra `traefik` is not installed")
    printed = assert_holds(25, "--story", "lifecycle")
    assert told(printed) == told(PAGE[PAGE.index("$ routestream demo --story") :])
