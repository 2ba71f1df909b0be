"""The command that gives a revision its share of an endpoint's traffic."""

import re
from collections.abc import Callable
from functools import partial

import click

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.endpoints.confirmed_append import confirm_and_append
from consumers.cli.rollout.followed_rollout import FollowedRollout
from consumers.cli.rollout.revision_status import show_status
from consumers.cli.terminal.output import OutputForm, output_option, yes_option
from events.catalogue.traffic_split import EVERY_S_MAX, STEPS_MAX
from producers.endpoints.decisions import Decision
from producers.rollout.rollout_decisions import end_split, go_back, roll_out
from projections.route_table.endpoint import Endpoint

_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0}
_TIME = re.compile(r"(\d{1,8}(?:\.\d{1,3})?)(ms|s|m|h)\Z", re.ASCII)

Decide = Callable[[Endpoint], Decision]


def _every(_: click.Context, parameter: click.Parameter, text: str) -> float:
    read = _TIME.match(text)
    seconds = float(read[1]) * _UNIT_S[read[2]] if read else 0.0
    if not 0 < seconds <= EVERY_S_MAX:
        raise click.BadParameter(
            f"{text!r} is no time such as 30s, 5m or 1h, one week at most", param=parameter
        )
    return seconds


def _percents(_: click.Context, parameter: click.Parameter, text: str | None) -> tuple[float, ...]:
    if text is None:
        return ()
    try:
        percents = tuple(float(one) for one in text.split(","))
    except ValueError:
        percents = ()
    if not percents or not all(0 <= one <= 100 for one in percents):
        raise click.BadParameter(
            f"{text!r} is no list of percentages from 0 to 100 such as 5,25,50,100", param=parameter
        )
    if len(percents) > STEPS_MAX:
        raise click.BadParameter(f"{len(percents)} steps, the limit is {STEPS_MAX}")
    return percents


@click.command("rollout")
@click.argument("endpoint")
@click.option("--to", metavar="REVISION", help="The revision: its routes have it as a label.")
@click.option("--percent", callback=_percents, metavar="P", help="Its share of the traffic.")
@click.option(
    "--steps", callback=_percents, metavar="P,P,...", help="Its shares, one after the other."
)
@click.option(
    "--every",
    "every_s",
    default="60s",
    callback=_every,
    show_default=True,
    metavar="TIME",
    help="The time between two steps, such as 30s, 5m or 1h.",
)
@click.option("--back", is_flag=True, help="Give the traffic back to the revisions before.")
@click.option("--off", is_flag=True, help="End the split: weights alone count again.")
@click.option("--follow", is_flag=True, help="Go on with the steps of a rollout under way.")
@click.option("--status", is_flag=True, help="Show the revisions, and change nothing.")
@click.option("--reason", help="Why; shown beside the split.")
@output_option
@yes_option
@command_of
async def rollout(  # noqa: PLR0913 - what a rollout has
    deployment: Deployment,
    *,
    endpoint: str,
    to: str | None,
    percent: tuple[float, ...],
    steps: tuple[float, ...],
    every_s: float,
    back: bool,
    off: bool,
    follow: bool,
    status: bool,
    reason: str | None,
    output: OutputForm,
    yes: bool,
) -> None:
    """Give a revision of an endpoint its share of the traffic, at once or in steps.

    Routes have their revision as the label `revision`; those without it are the revision "". The
    revision's routes divide its share by their weights, the other revisions divide the rest as
    before. A split stays until it is changed: routes of a revision that it does not name get no
    traffic.

    With --steps all steps are recorded beforehand; the command takes one after the other, and
    watches. Where the new revision does worse than those before (no route can take traffic, a
    greater part of its routes is unhealthy or failed, a greater part of its reported requests
    failed), the traffic goes back, and the exit code is 1. If the command ends before the last
    step, the keeper of the life-cycle goes on (`consume life-cycle`, part of `consume --all`), and
    so does --follow; without either the traffic stays as it is.

    \b
    Example: routestream endpoints rollout chat --to v2 --percent 5 --yes
    Example: routestream endpoints rollout chat --to v2 --steps 5,25,50,100 --every 60s --yes
    Example: routestream endpoints rollout chat --back --yes
    """
    shares = percent or steps
    wanted = (bool(percent), bool(steps), back, off, follow, status)
    if sum(wanted) != 1 or (to is None) == bool(shares) or len(percent) > 1:
        raise click.UsageError(
            "give --to with --percent or --steps, or one of --back, --off, --follow and --status"
        )
    if status:
        await show_status(deployment, endpoint, output)
        return
    if not follow:
        decide: Decide = partial(go_back if back else end_split, reason=reason)
        if to is not None:
            apart_s = every_s if steps else 0.0
            decide = partial(roll_out, to=to, percents=shares, every_s=apart_s, reason=reason)
        await confirm_and_append(deployment, endpoint, decide, yes=yes)
    if follow or steps:
        await FollowedRollout(deployment, endpoint, begun=bool(steps)).run()
