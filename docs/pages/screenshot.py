"""Takes the screenshot of the live view: an SVG of the program running in the incident.

`python -m docs.pages.screenshot docs/top.svg` writes it.
"""

import re
import sys
from pathlib import Path

import anyio

from consumers.cli.top.app import TopApp
from consumers.cli.top.deployment_reader import DeploymentReader
from consumers.processes.embedded import embedded_server
from consumers.processes.logs import configure_logs
from docs.pages.incident import run_incident
from projections.read_model.reader import RouteTableReader

COLUMNS, LINES = 146, 33
LOOKS = 16
"""Readings before the screenshot is taken, so that the rates have a history."""

_TIMEOUT_S = 60.0
_FONT_FACE = re.compile(r"@font-face\s*\{.*?\}\s*", re.DOTALL)


async def take(size: tuple[int, int] = (COLUMNS, LINES)) -> str:
    """Run the incident, watch it for a while, and return the screen as an SVG."""
    with embedded_server() as server:
        async with run_incident(server) as incident, anyio.create_task_group() as tasks:
            log = incident.log
            reader = RouteTableReader(log.server, log.keys, log.partitions, incident.settings)
            tasks.start_soon(reader.run)
            app = TopApp(DeploymentReader(log, reader))
            async with app.run_test(size=size) as pilot:
                with anyio.fail_after(_TIMEOUT_S):
                    while app.seen is None or len(app.seen.rates) < LOOKS:
                        await incident.go_on()
                        await pilot.pause(0.45)
                svg = app.export_screenshot(title="routestream top")
            tasks.cancel_scope.cancel()
    return standalone(svg)


def standalone(svg: str) -> str:
    """Replace the fonts that a viewer would download by a local monospace font."""
    return _FONT_FACE.sub("", svg).replace("Fira Code", "ui-monospace, DejaVu Sans Mono")


def main(path: Path) -> None:
    """Write the screenshot to *path*."""
    configure_logs("critical")
    path.write_text(anyio.run(take), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
