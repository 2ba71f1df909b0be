"""Servers in containers: of an image that is given, or made here from packages."""

import os
import shutil
import subprocess
import time
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from consumers.processes.embedded import EmbeddedServer, NoServerProgramError, answers
from tests.support.fetched_server import (
    ALSO_CALLED,
    FETCHED,
    RECIPES,
    NotFetchedError,
    server_tree,
)
from tests.support.server_set import host_of

KIND, CONTAINER = "TEST_SERVER", "container"
IMAGE = "TEST_IMAGE"
"""Names the image: one of `FETCHED`, which is made here, or any other that can be pulled."""

DEFAULT_IMAGE = "redis-7.0"
"""The oldest server that is supported."""

_BUILD_TIMEOUT_S = 120.0
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 3
_LOOK_EVERY_S = 0.02


class NoImageError(Exception):
    """A container cannot be run here; the message says why."""


def server_image() -> str:
    """Return the image that was chosen, made or pulled where it is not yet here.

    Raises:
        NoImageError: There is no Docker engine, or it can be neither made nor pulled.
    """
    return image_of(os.environ.get(IMAGE, DEFAULT_IMAGE))


@cache
def image_of(name: str) -> str:
    """Return the image of the server *name*, tagged by what lies in it.

    Raises:
        NoImageError: There is no Docker engine, or the image can be neither made nor pulled.
    """
    if shutil.which("docker") is None or not _succeeds("docker", "info"):
        raise NoImageError("no Docker engine is here")
    if ALSO_CALLED.get(name, name) not in FETCHED:
        if not _succeeds("docker", "image", "inspect", name):
            _run(f"the image {name} cannot be pulled", "docker", "pull", "--quiet", name)
        return name
    try:
        tree = server_tree(name)
    except NotFetchedError as error:
        raise NoImageError(f"no image can be made: {error}") from None
    recipe = RECIPES / "build_image"
    content = sha256((tree / "packages").read_bytes() + recipe.read_bytes()).hexdigest()
    image = f"routestream-test:{tree.name.rsplit('-', 1)[0]}-{content[:12]}"
    if not _succeeds("docker", "image", "inspect", image):
        _run(f"the image {image} cannot be made", str(recipe), str(tree), image)
    return image


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(failure: str, *command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=_BUILD_TIMEOUT_S)
    except subprocess.CalledProcessError as error:
        raise NoImageError(f"{failure}: {error.stderr.decode().strip()}") from None
    except subprocess.TimeoutExpired:
        raise NoImageError(f"{failure} in {_BUILD_TIMEOUT_S:.0f} s") from None


def new_container(image: str, command: list[str], **options: Any) -> Any:  # noqa: ANN401 - has no types
    """Return a container of *image* that is not yet started."""
    # Its clean-up container would have to be pulled; ours ends with the fixture.
    os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - reads the setting

    # The entry points of published images give up the right to the folder that is mounted.
    program, *arguments = command
    container = DockerContainer(image).with_kwargs(entrypoint=[program], **options)
    return container.with_command(arguments)


class ContainerServer(EmbeddedServer):
    """A server in a container of its own, on the network of this machine."""

    image: str | None = None
    """Its image; if none, the one that was chosen."""

    def __init__(self, folder: Path, *options: str, port: int = 0) -> None:
        super().__init__(folder, *options, port=port)
        self._container: Any = None

    @property
    def pid(self) -> int:
        """The id of the server's process, as this machine sees it."""
        return int(self._state()["Pid"])

    @property
    def is_running(self) -> bool:
        """Whether the server runs; it may also have ended by itself."""
        return self._container is not None and bool(self._state()["Running"])

    def start(self) -> None:
        """Start the container, and return when the server answers."""
        image = self.image or server_image()
        program = "valkey-server" if image.startswith("valkey/") else "redis-server"
        command = [*self._command(program), "--logfile", str(self.folder / "server.log")]
        folder = str(self.folder)
        self._container = new_container(image, command, **self._placed())
        self._container.with_envs(**self._environment())
        self._container.with_volume_mapping(folder, folder, "rw").start()
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._answers():
            if time.monotonic() > deadline or not self.is_running:
                self.kill()
                raise NoServerProgramError(f"{image} did not start: {self.last_words}")
            time.sleep(_LOOK_EVERY_S)

    def stop(self) -> None:
        """Terminate the server; kill it if it does not end in time."""
        if self._container is not None:
            self.resume()
            self._docker.stop(timeout=_STOP_TIMEOUT_S)
        self.kill()

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        container, self._container = self._container, None
        if container is not None:
            container.stop(force=True)

    def pause(self) -> None:
        """Pause the server: connections stay open, but nothing is answered."""
        self._docker.kill("SIGSTOP")

    def resume(self) -> None:
        """Resume a paused server."""
        self._docker.kill("SIGCONT")

    def _placed(self) -> dict[str, object]:
        return {"network_mode": "host"}

    def _environment(self) -> dict[str, str]:
        return {}

    def _answers(self) -> bool:
        return answers(self.port, host_of(self))

    @property
    def _docker(self) -> Any:  # noqa: ANN401 - docker has no types
        if self._container is None:
            raise NoServerProgramError(f"the server on port {self.port} is not running")
        return self._container.get_wrapped_container()

    def _state(self) -> dict[str, Any]:
        self._docker.reload()
        state: dict[str, Any] = self._docker.attrs["State"]
        return state
