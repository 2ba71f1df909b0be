"""Writes the page of the states, `docs/states.md`, from the tables that the code looks up."""

from collections.abc import Iterable, Mapping

import click

from producers.life_cycle.deadlines import DEADLINES
from producers.life_cycle.removal import REMOVAL_ORDER
from producers.life_cycle.session_effects import EFFECTS
from projections.route_table.phase import ENDPOINT_PHASES, ORIGINAL, PHASES, SERVING, Phase

_TEXT = """\
# States

What is recorded of a route is its status, its health and its switch. What a person sees is its
phase, which follows from them and from its endpoint. This page is made of the tables that the code
looks up, by `python -m docs.pages.states_page > docs/states.md`; each cell has a test.

## Phases of a route

| status | condition | phase |
|---|---|---|
{phases}

- *no address*: host and port are not known yet.
- *no success*: its endpoint has a health check, and no health was recorded since the route started.
  While a route warms up nobody records that it is unhealthy.
- *drained*: a `route_drained` was recorded since it is terminating.
- A route leaves the table with `route_terminated`, terminating or not.
- A status that ends a route is final: a late start, or any health, changes nothing of it. Only a
  route list, or its creation anew, brings the route back.

## Health and traffic

Health is `not_checked`, `healthy`, `unhealthy`, or `degraded`, which is how stale health is shown.
A route of an endpoint without a health check counts as healthy. Traffic is `active` or `inactive`,
by a switch of the route and one of its endpoint; it is given to a route that serves:

| phase | counts as healthy | serves | Backend.AI's RouteStatus |
|---|---|---|---|
{original}

## Deadlines

No phase that waits for something lasts for ever. `routestream consume life-cycle` records what is
due, with the reason, as an event; stamps of the events and the server's clock say when. It ends no
session: what is proposed or recorded, a manager acts on.

| phase | for how long | then |
|---|---|---|
{deadlines}

A warm-up fails only while somebody looks: without a living checker nothing is concluded. A failure
of a route that was provisioning or warming up counts as a retry of its endpoint; `endpoint_ready`
begins the count anew, once as many routes serve as are wanted (`endpoints replicas`).

## What a session does to its route

| phase of the route | {statuses} |
|---|{rules}
{effects}

## Phases of an endpoint

Wanted are the routes that `endpoints replicas` says, else those that serve, or will. On their way
are routes that are provisioning or warming up, and those beyond the wanted ones on their way out.

| wanted routes that serve | some on their way | phase |
|---|---|---|
{endpoint_phases}

A destroyed endpoint is `destroyed`, whatever it had.

## What a scale-down removes first

`routes suggest-removal` lists them in this order, the newest first among equals.

| turn | phase | counts as healthy |
|---|---|---|
{removal}
"""


def states_page() -> str:
    """Return the page."""
    statuses = list(dict.fromkeys(status for status, _ in EFFECTS))
    phases = list(dict.fromkeys(phase for _, phase in EFFECTS))
    return _TEXT.format(
        phases=_rows((status, condition, phase) for (status, condition), phase in PHASES.items()),
        original=_rows(
            (phase, _yes(healthy), _yes(SERVING[phase, healthy]), original)
            for (phase, healthy), original in ORIGINAL.items()
        ),
        deadlines=_rows((phase, one.wait, one.effect) for phase, one in DEADLINES.items()),
        statuses=" | ".join(statuses),
        rules="---|" * len(statuses),
        effects=_rows(
            (phase, *(EFFECTS[status, phase] for status in statuses)) for phase in phases
        ),
        endpoint_phases=_rows(
            (served, _yes(moving), phase) for (served, moving), phase in ENDPOINT_PHASES.items()
        ),
        removal=_rows(
            (str(turn), phase, healths) for (turn, phase), healths in _turns(REMOVAL_ORDER).items()
        ),
    )


def _turns(order: Mapping[tuple[Phase, bool], int]) -> dict[tuple[int, str], str]:
    """Return whether those that go at a turn are healthy, by turn and phase; "" for either."""
    turns: dict[tuple[int, str], str] = {}
    for (phase, is_healthy), turn in order.items():
        turns[turn, phase] = "" if (turn, phase) in turns else _yes(is_healthy)
    return turns


def _rows(rows: Iterable[Iterable[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _yes(is_so: bool) -> str:  # noqa: FBT001 - what is put in words
    return "yes" if is_so else "no"


if __name__ == "__main__":
    click.echo(states_page(), nl=False)
