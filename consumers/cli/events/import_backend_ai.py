"""The command that imports captured events of Backend.AI's producers."""

from pathlib import Path

import click
import msgspec

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.terminal.messages import say
from producers.backend_ai.importer import SOURCE, import_capture


@click.command("import")
@click.option(
    "--format", "origin", type=click.Choice([SOURCE]), required=True, help="Whose they are."
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@command_of
async def import_events(deployment: Deployment, *, origin: str, file: Path) -> None:
    """Import what another system's producers wrote, as our events.

    FILE is a capture of Redis commands, one JSON object a line. What tells nothing new is not
    recorded, so nothing is asked; the same file can be imported again.

    \b
    Example: routestream events import --format backend-ai capture.jsonl
    """
    importing = msgspec.structs.replace(deployment, source=origin)
    say(f"{file}: append what it tells to the log {deployment.settings.namespace!r}")
    async with importing.open_log(create=True) as log:
        counts = await import_capture(log, file)
    for name, count in msgspec.to_builtins(counts).items():
        click.echo(f"{name.replace('_', ' ')}: {count}")
