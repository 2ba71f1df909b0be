"""The `check` command: one line and an exit code, as a monitoring plug-in prints them.

Its exit codes are the four that Nagios, Icinga, Checkmk and Sensu know: 0 ok, 1 warning, 2
critical, 3 unknown. A monitor knows no others. Unlike in other commands, 2 therefore does not mean
usage and 4 is not used: an unreachable server is critical, and invalid options are unknown.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import Any, Literal, NoReturn

import anyio
import click
import msgspec

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.doctor.doctor import examination_of
from consumers.cli.terminal.options import COUNT_MAX
from consumers.cli.terminal.output import printable
from consumers.doctor.finding import Finding, Severity, counted, worst_first
from consumers.doctor.log_facts import Amount
from consumers.doctor.log_findings import totals
from consumers.shipped import GROUPS
from events.errors import EventsError

Status = Literal["OK", "WARNING", "CRITICAL", "UNKNOWN"]

EXIT_CODES: Mapping[Status, int] = {"OK": 0, "WARNING": 1, "CRITICAL": 2, "UNKNOWN": 3}
CHECK_TIMEOUT_S = 30.0

_OF_SEVERITY: Mapping[Severity, Status] = {"ok": "OK", "warning": "WARNING", "error": "CRITICAL"}
_LINE_CHARACTERS_MAX = 500


class Limit(msgspec.Struct, frozen=True):
    """The lowest figures that are a warning and that are critical; None: no such limit."""

    warn: int | None
    crit: int | None

    def status_of(self, figure: Amount | None) -> Status:
        """Return the status of *figure*; one that could be beyond a limit counts as beyond it.

        One that was not measured, None, could be anything.
        """
        most = inf if figure is None else figure.most
        if self.crit is not None and most >= self.crit:
            return "CRITICAL"
        return "WARNING" if self.warn is not None and most >= self.warn else "OK"


class _Plugin(click.Command):
    """A command that reports wrong options as unknown, not as critical."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:  # noqa: ANN401 - click's
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as error:
            tell("UNKNOWN", error.format_message(), {}, {})
            raise click.exceptions.Exit(EXIT_CODES["UNKNOWN"]) from None


_figure = click.IntRange(0, COUNT_MAX)


@click.command(cls=_Plugin)
@click.option("--group", "groups", multiple=True, help="Only this group; may be given repeatedly.")
@click.option("--warn-lag", type=_figure, default=1_000, show_default=True, help="Entries.")
@click.option("--crit-lag", type=_figure, default=100_000, show_default=True, help="Entries.")
@click.option("--warn-pending", type=_figure, help="No limit unless given.")
@click.option("--crit-pending", type=_figure, help="No limit unless given.")
@click.option("--warn-dead", type=_figure, default=1, show_default=True, help="Dead letters.")
@click.option("--crit-dead", type=_figure, help="No limit unless given.")
@command_of
async def check(
    deployment: Deployment, /, *, groups: tuple[str, ...], **limits: int | None
) -> None:
    """Say in one line whether all is well, for a monitor.

    What `routestream doctor` finds counts, and how many entries the groups have still to read
    (lag), to end (pending), and have given up on (dead), all partitions together. A lag too long
    to be counted is shown as >=; if it could be beyond a limit, it counts as beyond it. So does a
    number that the server refuses to tell; it is not shown.

    \b
    Exit codes, which are a monitor's and not those of the other commands:
    0 ok, 1 warning, 2 critical (also without a connection), 3 unknown (also wrong options, and
    where the check itself fails).
    Example: routestream check --group route-table --warn-lag 500
    """
    by_name = {name: Limit(limits[f"warn_{name}"], limits[f"crit_{name}"]) for name in _LIMITED}
    try:
        with anyio.fail_after(CHECK_TIMEOUT_S):
            examined = await examination_of(deployment, look_again_after_s=0)
    except (EventsError, TimeoutError) as error:
        said = str(error) or f"no answer within {CHECK_TIMEOUT_S:g} s"
        _end("CRITICAL", said, {}, by_name)
    except Exception as error:  # noqa: BLE001 - a monitor would take a traceback's 1 for a warning
        _end("UNKNOWN", f"{type(error).__name__}: {error}; see routestream doctor", {}, by_name)
    known = {group.name for facts in examined.partitions for group in facts.all_groups}
    wanted = groups or tuple(known)
    unknown = sorted(set(wanted) - known - set(GROUPS))
    if unknown and "pending" not in examined.unmeasured:
        problem = f"group {unknown[0]!r} is not one of {', '.join(sorted(known))}"
        _end("UNKNOWN", problem, {}, by_name)
    measured = totals(examined.partitions, wanted)
    figures = {n: figure for n, figure in measured.items() if n not in examined.unmeasured}
    _end(*_judged(examined.findings, groups, figures, by_name), figures, by_name)


_LIMITED = ("lag", "pending", "dead")
_NOT_KNOWN = "not known"


def _judged(
    findings: Sequence[Finding],
    groups: Sequence[str],
    figures: Mapping[str, Amount],
    limits: Mapping[str, Limit],
) -> tuple[Status, str]:
    """Return the worst status, and the worst problem in words."""
    judged = [
        (limit.status_of(figures.get(name)), f"{name} is {figures.get(name, _NOT_KNOWN)}")
        for name, limit in limits.items()
    ]
    counting = [finding for finding in findings if _is_about(finding, groups)]
    judged += ((_OF_SEVERITY[f.severity], _words(f)) for f in worst_first(counting))
    unwell = [one for one in judged if one[0] != "OK"]
    # What is not known has its reason among the findings, which are worth more words.
    wrong = sorted(unwell, key=lambda one: (-EXIT_CODES[one[0]], one[1].endswith(_NOT_KNOWN)))
    if not wrong:
        within = ", ".join(f"{name} {figures.get(name, _NOT_KNOWN)}" for name in _LIMITED)
        return "OK", f"{counted(len(counting), 'finding')}, {within}"
    status, words = wrong[0]
    more = f" (and {len(wrong) - 1} more: routestream doctor)" if len(wrong) > 1 else ""
    return status, words + more


def _is_about(finding: Finding, groups: Sequence[str]) -> bool:
    """Whether the finding counts for *groups*; dead letters have limits of their own."""
    subject = finding.about.partition(",")[0]
    if subject.startswith("dead letters of "):
        return False
    kinds = ("group ", "pending of ", "loss of ", "position of ", "read model ", "processes of ")
    name = next((subject.removeprefix(kind) for kind in kinds if subject.startswith(kind)), None)
    return name is None or not groups or name in groups


def _words(finding: Finding) -> str:
    figure = f" ({finding.figure})" if finding.figure else ""
    return f"{finding.about}: {finding.what}{figure}"


def _end(
    status: Status, said: str, figures: Mapping[str, Amount], limits: Mapping[str, Limit]
) -> NoReturn:
    tell(status, said, figures, limits)
    raise click.exceptions.Exit(EXIT_CODES[status])


def tell(
    status: Status, said: str, figures: Mapping[str, Amount], limits: Mapping[str, Limit]
) -> None:
    """Print the line: status, words, and the figures after a bar, which words must not contain."""
    words = printable(said).replace("|", "/")[:_LINE_CHARACTERS_MAX]
    performance = " ".join(_performance(figures, limits))
    click.echo(f"{status} - {words}" + (f"|{performance}" if performance else ""))


def _performance(figures: Mapping[str, Amount], limits: Mapping[str, Limit]) -> Iterator[str]:
    for name, figure in figures.items():
        limit = limits.get(name, Limit(None, None))
        warn = "" if limit.warn is None else limit.warn
        crit = "" if limit.crit is None else limit.crit
        yield f"{name}={figure.least};{warn};{crit};0"
