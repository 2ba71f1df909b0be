"""The demo of a log on a Redis Cluster holds its checks, and leaves nothing running."""

import pytest

from consumers.processes.traefik_process import is_traefik_installed
from tests.support.demo_run import CLUSTER_DEMO, assert_holds


@pytest.mark.timeout(400)
@pytest.mark.processes
def test_a_cluster_that_loses_a_node_and_a_host_serves_on() -> None:
    if not is_traefik_installed():
        pytest.skip("the extra `traefik` is not installed")
    assert_holds(30, program=CLUSTER_DEMO)
