"""Starts an Envoy that asks a publisher of ours, with the configuration of docs/publishers.md."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

_PAGE = Path(__file__).parents[1] / "docs" / "publishers.md"
_DISCOVERY_PORT, _ADMIN = 18_000, "127.0.0.1, port_value: 9901"


def envoy_program() -> str | None:
    """Return the path of the `envoy` of this environment, else of PATH; None for none."""
    beside = Path(sys.executable).parent / "envoy"
    return str(beside) if beside.exists() else shutil.which("envoy")


@contextmanager
def envoy_process(program: str, discovery_port: int) -> Iterator[None]:
    """Run an Envoy that asks on *discovery_port* where to listen."""
    [documented] = re.findall(r"```yaml\n(node: .*?)```", _PAGE.read_text(), re.DOTALL)
    configuration = documented.replace(
        f"port_value: {_DISCOVERY_PORT}", f"port_value: {discovery_port}"
    ).replace(_ADMIN, "127.0.0.1, port_value: 0")
    with TemporaryDirectory(prefix="routestream-") as folder:
        file = Path(folder) / "envoy.yaml"
        file.write_text(configuration)
        options = ("--config-path", str(file), "--disable-hot-restart", "--log-level", "error")
        process = subprocess.Popen([program, *options])  # noqa: S603 - a program that was looked up
        try:
            yield
        finally:
            process.kill()
            process.wait()
