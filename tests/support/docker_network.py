"""A Docker network of its own for servers in containers, which tests cut, delay and make lossy."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import docker
import pytest
from docker.types import EndpointConfig, IPAMConfig, IPAMPool

from tests.support.clock import FAKETIME, Clock
from tests.support.container_server import ContainerServer, NoImageError, server_image

_SUBNETS = tuple(f"10.213.{number}" for number in range(1, 250))
_FIRST_HOST = 10
_API_VERSION = "1.41"


class NetworkedServer(ContainerServer):
    """A server in a container with an address of its own, behind a cable that can be pulled.

    Attributes:
        host: Its address, which it keeps when it is started again.
        clock: What it takes for the time; None: the clock of this machine.
    """

    def __init__(
        self, network: "DockerNetwork", host: str, folder: Path, *options: str, port: int
    ) -> None:
        reached = ("--bind", "0.0.0.0", "--protected-mode", "no")  # noqa: S104 - in its network
        super().__init__(folder, *options, *reached, port=port)
        self.host = host
        self.url = f"redis://{host}:{port}"
        self.clock: Clock | None = None
        self._on = network

    def cut(self) -> None:
        """Pull the cable: nobody hears of it, and connections stay open."""
        self._on.network.disconnect(self._docker, force=True)

    def heal(self) -> None:
        """Plug the cable in again, at the same address."""
        self._on.network.connect(self._docker, ipv4_address=self.host)

    def slow_down(self, delay_ms: int, loss_percent: float) -> None:
        """Delay what the server sends, and lose a part of it; skip where the kernel cannot."""
        netem = ("netem", "delay", f"{delay_ms}ms", "loss", f"{loss_percent}%")
        change = ("tc", "qdisc", "replace", "dev", "eth0", "root", *netem)
        done = subprocess.run(
            ["nsenter", "--net", "--target", str(self.pid), *change],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"no delay can be set here: {done.stderr.strip()}")

    def set_clock_forward(self, by: timedelta) -> None:
        """Let the server take the time for so much later, from its next start on."""
        self.clock = Clock(self.folder / "clock")
        self.clock.set_forward(by)

    def _placed(self) -> dict[str, object]:
        name = self._on.network.name
        endpoint = EndpointConfig(_API_VERSION, ipv4_address=self.host)
        return {"network": name, "networking_config": {name: endpoint}}

    def _environment(self) -> dict[str, str]:
        return {} if self.clock is None else self.clock.environment


class DockerNetwork:
    """A bridge of this machine, and the servers of one *image* that are made on it."""

    def __init__(self, network: Any, subnet: str, image: str) -> None:  # noqa: ANN401 - no types
        self.network = network
        self.image = image
        self._subnet = subnet
        self._hosts = iter(range(_FIRST_HOST, 250))

    def __call__(self, folder: Path, *options: str, port: int) -> NetworkedServer:
        """Make a server with the next address, which is not yet started."""
        host = f"{self._subnet}.{next(self._hosts)}"
        server = NetworkedServer(self, host, folder, *options, port=port)
        server.image = self.image
        return server


@contextmanager
def docker_network(image: str = "") -> Iterator[DockerNetwork]:
    """Make a network for servers of *image*, or else of the chosen one; remove it at the end."""
    image = image or server_image()
    client = docker.from_env()
    network, subnet = _new_network(client)
    try:
        yield DockerNetwork(network, subnet, image)
    finally:
        network.remove()
        client.close()


def _new_network(client: Any) -> tuple[Any, str]:  # noqa: ANN401 - docker has no types
    for subnet in _SUBNETS:
        pools = IPAMConfig(pool_configs=[IPAMPool(subnet=f"{subnet}.0/24")])
        name = f"routestream-{uuid4().hex[:8]}"
        try:
            return client.networks.create(name, driver="bridge", ipam=pools), subnet
        except docker.errors.APIError:  # somebody has it already
            continue
    raise NoImageError("no subnet is free for a network of containers")


def skip_without_faketime() -> None:
    """Skip the test where a server's clock cannot be set."""
    if FAKETIME is None or shutil.which("nsenter") is None:
        pytest.skip("libfaketime (Debian: faketime) is missing")
