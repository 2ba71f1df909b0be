"""`routestream dev-server`: a Redis with the right settings, for as long as wanted."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from consumers.processes.embedded import free_port

ROUTESTREAM = str(Path(sys.executable).parent / "routestream")


def start(*options: str, **variables: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [ROUTESTREAM, "dev-server", *options],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def url_of(server: "subprocess.Popen[str]") -> str:
    assert server.stdout is not None
    return server.stdout.readline().strip()


@pytest.mark.processes
def test_it_serves_until_interrupted_and_leaves_nothing(tmp_path: Path) -> None:
    server = start("--port", "0", TMPDIR=str(tmp_path))
    with server, redis.Redis.from_url(url_of(server)) as client:
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert list(tmp_path.iterdir())
        for _ in range(3):
            server.send_signal(signal.SIGINT)
        said = server.communicate(timeout=30)[1]
        assert server.returncode == 0, said
        assert said.startswith("in other shells: export REDIS_URL=redis://127.0.0.1:")
        assert "Traceback" not in said
        with pytest.raises(redis.ConnectionError):
            client.ping()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.processes
def test_a_folder_keeps_its_data_for_the_next_time(tmp_path: Path) -> None:
    folder, port = tmp_path / "kept", str(free_port())
    for round_number in range(2):
        with start("--port", port, "--folder", str(folder)) as server:
            assert url_of(server) == f"redis://127.0.0.1:{port}"
            with redis.Redis(port=int(port)) as client:
                assert client.incr("rounds") == round_number + 1
            server.send_signal(signal.SIGTERM)
            assert server.wait(30) == 0


@pytest.mark.processes
def test_a_port_that_is_taken_and_a_server_that_dies_are_told_in_a_sentence() -> None:
    with start("--port", "0") as server:
        url = url_of(server)
        port = url.rpartition(":")[2]
        with start("--port", port) as second:
            said = second.communicate(timeout=30)[1]
        assert (second.returncode, said) == (
            1,
            f"Error: a Redis answers on port {port} already; --port 0 takes any free port\n",
        )
        with redis.Redis.from_url(url) as client:
            client.shutdown(nosave=True)
        said = server.communicate(timeout=30)[1]
        assert server.returncode == 1
        assert "Error: the server has ended by itself: " in said
