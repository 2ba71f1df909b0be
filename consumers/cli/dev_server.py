"""The command that runs an embedded Redis for as long as wanted."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from consumers.cli.terminal.interrupt import Interruption, noted_interrupts
from consumers.cli.terminal.messages import say
from consumers.processes.embedded import EmbeddedServer, NoServerProgramError, answers

PORT = 6_379

_LOOK_EVERY_S = 0.2


@click.command("dev-server")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=PORT,
    show_default=True,
    help="Where it listens on loopback; 0: any free port.",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep its data here, for the next time; without it they are deleted at the end.",
)
def dev_server(port: int, folder: Path | None) -> None:
    """Run a Redis server with the right settings on this machine, until interrupted.

    It prints the URL when the server answers. The server keeps an append-only file and evicts
    nothing; it is a redis-server or valkey-server on PATH that is new enough, or else that of
    the extra `embedded`. It is for trying things out: nobody restarts it, and nothing protects it.

    \b
    Example: routestream dev-server --port 6379
    """
    try:
        with noted_interrupts() as interruption, _folder(folder) as place:
            _serve(EmbeddedServer(place, port=port), interruption, is_kept=folder is not None)
    except NoServerProgramError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"the server cannot start: {error}") from None


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with TemporaryDirectory(prefix="routestream-") as made:
        yield Path(made)


def _serve(server: EmbeddedServer, interruption: Interruption, *, is_kept: bool) -> None:
    """Run the server until a signal comes, or it ends by itself, which is an error."""
    if answers(server.port):
        raise click.ClickException(
            f"a Redis answers on port {server.port} already; --port 0 takes any free port"
        )
    try:
        server.start()
        kept = f"kept in {server.folder}" if is_kept else "deleted at the end"
        say(f"in other shells: export REDIS_URL={server.url}; its data are {kept}")
        click.echo(server.url)
        while server.is_running and not interruption.came.wait(_LOOK_EVERY_S):
            pass
        if not interruption.count:
            raise click.ClickException(f"the server has ended by itself: {server.last_words}")
    finally:
        server.stop()
