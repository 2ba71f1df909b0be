"""Builds the rows and headings that the live view shows for each subject."""

from msgspec.structs import replace
from rich.text import Text

from consumers.cli.endpoints.table import healths, shares
from consumers.cli.groups.groups import COLOURS
from consumers.cli.terminal.entry_line import Line
from consumers.cli.terminal.output import short_id
from consumers.cli.terminal.table import as_text
from consumers.cli.top.deployment_state import DeadLine, DeploymentState, GroupLine, Subject
from consumers.cli.top.fitted_table import Heading, Row, SubjectTable
from consumers.groups.state import GroupState
from events.entry.age import age_of, span
from events.entry.entry_id import START
from events.entry.recorded import Entry
from projections.route_table.endpoint import Endpoint
from projections.route_table.health_age import withdrawn
from projections.route_table.traffic import traffic_of

_ENDPOINTS = (
    Heading("ENDPOINT"),
    Heading("NAME", gives=True),
    Heading("MODEL", gives=True, is_wide=True),
    Heading("ROUTES"),
    Heading("HEALTH", gives=True),
    Heading("TRAFFIC", gives=True),
    Heading("CHANGED"),
)
_PARTITION = Heading("PART", is_number=True, is_wide=True)
_GROUPS = (
    Heading("GROUP", gives=True),
    _PARTITION,
    Heading("CONSUMERS", is_number=True),
    Heading("PENDING", is_number=True),
    Heading("LAG", is_number=True),
    Heading("OLDEST"),
    Heading("RATE/S", is_number=True),
    Heading("STATE"),
)
_DEAD = (
    Heading("GROUP", gives=True),
    Heading("ENTRY"),
    Heading("TRIED"),
    Heading("TYPE", is_wide=True),
    Heading("DELIVERIES", is_number=True, is_wide=True),
    Heading("REASON", gives=True),
    Heading("ERROR", gives=True),
)
_LOG = (
    Heading("TIME"),
    Heading("ENTRY", is_wide=True),
    Heading("ENDPOINT", gives=True),
    Heading("TYPE"),
    Heading("SOURCE", gives=True, is_wide=True),
    Heading("SAYS", gives=True),
)


def table_of(seen: DeploymentState, subject: Subject) -> SubjectTable:
    """Return the rows of *subject*."""
    match subject:
        case "endpoints":
            worst_first = sorted(seen.endpoints, key=_badness)
            return SubjectTable(_ENDPOINTS, [_endpoint(one, seen) for one in worst_first])
        case "groups":
            headings = _group_headings(seen)
            return SubjectTable(headings, [_group(one, seen) for one in seen.groups])
        case "dead":
            return SubjectTable(_DEAD, [_dead(one, seen) for one in seen.dead])
        case "log":
            names = seen.name_of
            return SubjectTable(_LOG, [_entry(one, names) for one in seen.entries])


def _badness(endpoint: Endpoint) -> tuple[bool, bool, str, int]:
    """Sort key: endpoints of which no route gets traffic, then those of which some do not."""
    gets = [one.why_not is None for one in traffic_of(endpoint).values()]
    return (any(gets) or not gets, all(gets), endpoint.name or "", endpoint.endpoint_id.int)


def _endpoint(endpoint: Endpoint, seen: DeploymentState) -> Row:
    traffic = traffic_of(endpoint, withdrawn(endpoint, seen.ages)).values()
    getting = [one.share for one in traffic if one.why_not is None]
    colour = "green" if len(getting) == len(traffic) else "yellow" if getting else "red"
    routes = endpoint.present_routes
    ages = [seen.ages.get((endpoint.endpoint_id, one.route_id)) for one in routes]
    stale = sum(age is not None and age.is_stale for age in ages)
    flapping = sum(one.flapping for one in routes)
    each = (one.health for one in routes)
    health = healths(endpoint.health_check, each, flapping=flapping, stale=stale)
    is_bad = stale or flapping or any(one.health == "unhealthy" for one in routes)
    cells = (
        Text(short_id(endpoint.endpoint_id), "bold"),
        as_text(endpoint.name),
        as_text(endpoint.model),
        Text(f"{len(getting)}/{len(traffic)}", colour),
        as_text(health, "red" if is_bad and endpoint.health_check is not None else ""),
        Text(shares(getting)),
        as_text(age_of(endpoint.version, seen.now)),
    )
    part = len(getting) / len(traffic) if traffic else 1.0
    order = (
        *(str(endpoint.endpoint_id), endpoint.name or "", endpoint.model or ""),
        *(part, health, -max(getting, default=0.0), -endpoint.version.ms),
    )
    return Row(str(endpoint.endpoint_id), cells, order)


def _group_headings(seen: DeploymentState) -> tuple[Heading, ...]:
    """Return the headings; PART is always shown if there are several partitions."""
    if all(one.state.partition == 0 for one in seen.groups):
        return _GROUPS
    return tuple(replace(one, is_wide=False) if one is _PARTITION else one for one in _GROUPS)


def _group(line: GroupLine, seen: DeploymentState) -> Row:
    state = line.state
    activity = f"{state.activity}, {state.lost} lost" if state.lost else state.activity
    oldest = state.oldest_pending
    rate = line.rate
    cells = (
        as_text(state.group, "bold"),
        Text(str(state.partition)),
        Text(str(state.consumers)),
        Text(str(state.pending), "yellow" if state.pending else ""),
        Text(_lag(state), "yellow" if state.lag_min else ""),
        as_text(None if oldest is None else age_of(oldest, seen.now)),
        Text("" if rate is None else f"{rate:.0f}"),
        as_text(activity, "red" if state.lost else COLOURS[state.activity]),
    )
    order = (
        *(state.group, state.partition, state.consumers, state.pending, state.lag_min),
        *(oldest.ms if oldest else seen.now.timestamp() * 1_000, rate or 0.0, activity),
    )
    return Row(f"{state.group}:{state.partition}", cells, order)


def _lag(state: GroupState) -> str:
    if state.activity == "missing":
        return ""
    return f">={state.lag_min}" if state.lag is None else str(state.lag)


def _dead(line: DeadLine, seen: DeploymentState) -> Row:
    letter = line.letter
    about = Line.of(letter.original)
    tried = span((seen.now - letter.last_at).total_seconds())
    cells = (
        as_text(line.group),
        Text(str(letter.original.entry_id), "bold"),
        Text(tried),
        as_text(about.name),
        Text(str(letter.deliveries)),
        as_text(letter.reason, "red"),
        as_text(letter.error),
    )
    order = (
        *(line.group, letter.original.entry_id, -letter.last_at.timestamp(), about.name),
        *(letter.deliveries, letter.reason, letter.error),
    )
    return Row(f"{line.group}:{letter.original.partition}:{letter.dead_id}", cells, order)


def _entry(entry: Entry, names: dict[str, str]) -> Row:
    line = Line.of(entry)
    by_short = {short_id(one): name for one, name in names.items()}
    endpoint = by_short.get(line.endpoint, line.endpoint)
    cells = (
        Text(line.clock, "dim"),
        Text(str(entry.entry_id)),
        as_text(endpoint),
        as_text(line.name, "" if line.is_readable else "bold red"),
        as_text(line.source, "dim"),
        as_text(line.summary, "red" if "unhealthy" in line.summary else ""),
    )
    order = (entry.entry_id, entry.entry_id, endpoint, line.name, line.source, line.summary)
    return Row(entry_key(entry), cells, order)


def entry_key(entry: Entry) -> str:
    """Return the key of an entry's row."""
    return f"{entry.entry_id}@{entry.partition}" if entry.entry_id > START else "0"
