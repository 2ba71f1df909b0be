"""Shows the revisions of an endpoint: their shares, and what their routes get."""

from collections import Counter
from collections.abc import Iterable

import click
import msgspec

from consumers.cli.deployment import Deployment
from consumers.cli.endpoints.named_endpoint import live_endpoint
from consumers.cli.endpoints.table import healths, per_cent
from consumers.cli.terminal.event_summary import split_text
from consumers.cli.terminal.output import print_rows, printable
from consumers.cli.terminal.output_form import ForTable, OutputForm
from consumers.cli.terminal.table import Column
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Route
from projections.route_table.traffic import traffic_of


class RevisionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One revision: its share as it is split, and the traffic that its routes get."""

    revision: str
    routes: int
    routable: int
    share: float | None
    traffic: float
    health: ForTable[str]


async def show_status(deployment: Deployment, endpoint: str, output: OutputForm) -> None:
    """Print a row for each revision that has a share or a route, and what lies ahead."""
    async with deployment.open_log() as log:
        _, state = await live_endpoint(log, endpoint)
    columns = (
        Column[RevisionRow]("REVISION", lambda row: row.revision or "(none)", folds=True),
        Column[RevisionRow]("ROUTES", lambda row: f"{row.routable}/{row.routes}"),
        Column[RevisionRow]("HEALTH", lambda row: row.health, folds=True),
        Column[RevisionRow]("SHARE", lambda row: _share(row.share), is_number=True),
        Column[RevisionRow]("TRAFFIC", lambda row: per_cent(row.traffic), is_number=True),
    )
    print_rows(output, RevisionRow, revision_rows(state), columns, nothing="no routes")
    if output.is_table:
        click.echo(f"split: {printable(split_text(state.split, state.rollout))}")
    if output.is_table and state.split_reason:
        click.echo(f"because: {printable(state.split_reason)}")


def _share(share: float | None) -> str | None:
    return None if share is None else per_cent(share)


def revision_rows(endpoint: Endpoint) -> list[RevisionRow]:
    """Return a row for each revision that has a share or a route."""
    traffic = traffic_of(endpoint)
    total = sum(endpoint.split.values())
    routes: dict[str, list[Route]] = {revision: [] for revision in endpoint.split}
    for route in endpoint.present_routes:
        routes.setdefault(route.revision, []).append(route)
    got: Counter[str] = Counter()
    for route in endpoint.present_routes:
        got[route.revision] += traffic[route.route_id].why_not is None
    return [
        RevisionRow(
            revision=revision,
            routable=got[revision],
            routes=len(own),
            health=healths(
                endpoint.health_check,
                (route.health for route in own),
                flapping=sum(route.flapping for route in own),
                stale=0,
            ),
            share=endpoint.split.get(revision, 0.0) / total if total else None,
            traffic=_sum(traffic[route.route_id].share for route in own),
        )
        for revision, own in sorted(routes.items())
    ]


def _sum(shares: Iterable[float]) -> float:
    return min(1.0, sum(shares))
