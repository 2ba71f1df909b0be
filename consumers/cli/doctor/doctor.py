"""The `doctor` command."""

import click
import msgspec
from rich.text import Text

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.terminal.messages import EXIT_FAILED, say
from consumers.cli.terminal.output import (
    OutputForm,
    output_option,
    print_rows,
    watch_option,
    watched,
)
from consumers.cli.terminal.table import Column, Columns
from consumers.doctor.backend_ai_findings import backend_ai_findings
from consumers.doctor.examination import LOOK_AGAIN_AFTER_S, Examination, examine
from consumers.doctor.finding import Finding, Severity, counted, worst_first, worst_of
from consumers.doctor.server_queries import ServerQueries
from events.errors import ServerRefusedError, ServerUnavailableError
from events.log.keys import Keys
from events.server.server import Server

_COLOURS: dict[Severity, str] = {"ok": "green", "warning": "yellow", "error": "red"}
COLUMNS: Columns[Finding] = (
    Column("SEVERITY", lambda one: Text(one.severity, _COLOURS[one.severity])),
    Column("ABOUT", lambda one: one.about, folds=True),
    Column("FOUND", lambda one: one.what, folds=True),
    Column("FIGURE", lambda one: one.figure, folds=True),
    Column("TO DO", lambda one: one.to_do, folds=True, is_below=True),
)


@click.command()
@click.option("--user", help="Whose rights to look at; the connection's own unless given.")
@output_option
@watch_option
@command_of
async def doctor(
    deployment: Deployment, *, user: str | None, output: OutputForm, watch: float | None
) -> None:
    """Look at the server and the log, and say what is wrong and what to do about it.

    It only reads, with short commands, whatever the size of the log; what the server refuses to
    tell is a finding as well. The exit code is 1 where there is an error, 0 otherwise.

    \b
    Example: routestream doctor -o jsonl
    """
    found: list[Finding] = []

    async def show() -> None:
        examined = await examination_of(deployment, user=user)
        found[:] = worst_first(examined.findings)
        print_rows(output, Finding, found, COLUMNS)
        say(_summary(found))

    await watched(watch, show)
    if worst_of(found) == "error":
        click.get_current_context().exit(EXIT_FAILED)


async def examination_of(
    deployment: Deployment, *, user: str | None = None, look_again_after_s: float | None = None
) -> Examination:
    """Examine *deployment*; its server need not be usable for anything else.

    Raises:
        ServerUnavailableError: The server cannot be reached.
        ServerRefusedError: The server refuses the connection.
    """
    settings = deployment.settings
    server = Server(settings.server)
    after_s = LOOK_AGAIN_AFTER_S if look_again_after_s is None else look_again_after_s
    try:
        examined = await examine(
            ServerQueries(server),
            Keys(settings.namespace),
            settings.partitions,
            user=user,
            checker_lifetime_s=settings.membership.lifetime_s,
            look_again_after_s=after_s,
        )
        foreign = await backend_ai_findings(settings.namespace, settings.backend_ai)
        return msgspec.structs.replace(examined, findings=[*examined.findings, *foreign])
    except ServerUnavailableError as error:
        raise ServerUnavailableError(f"no Redis at {server.address}: {error}") from None
    except ServerRefusedError as error:
        raise ServerRefusedError(f"Redis at {server.address} refuses: {error}") from None
    finally:
        await server.aclose()


def _summary(findings: list[Finding]) -> str:
    errors = sum(one.severity == "error" for one in findings)
    warnings = sum(one.severity == "warning" for one in findings)
    if not errors and not warnings:
        return f"all is well: {counted(len(findings), 'finding')}"
    return f"{counted(errors, 'error')}, {counted(warnings, 'warning')}"
