"""Reads routes that a person or a script gives as JSON or as addresses, and labels."""

import re
from collections.abc import Sequence
from uuid import UUID, uuid4

import click
import msgspec

from consumers.cli.terminal.output import NotFoundError
from events.catalogue.labels import wrong_label
from events.catalogue.route import RouteRecord
from events.entry.codec import invalid_event
from events.errors import InvalidEventError
from producers.endpoints.decisions import record_of
from projections.route_table.endpoint import Endpoint
from projections.route_table.lookup import BEGINNING_CHARACTERS_MIN

INPUT_BYTES_MAX = 1_048_576
_PORT = re.compile(r"\d{1,5}\Z", re.ASCII)


class GivenRoute(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A route in a file; an unknown field is an error, so that a typing error is noticed."""

    route_id: UUID
    session_id: UUID | None = None
    app: str = ""
    kernel_host: str | None = None
    kernel_port: int | None = None
    protocol: str = "http"
    traffic_ratio: float = 1.0
    status: str = "running"
    labels: dict[str, str] = {}


def read_routes(content: bytes, name: str) -> list[RouteRecord]:
    """Return the routes that the JSON list *content*, read from *name*, gives.

    Raises:
        InvalidEventError: It is not such a list; field, value and limit are named.
    """
    if len(content) > INPUT_BYTES_MAX:
        raise InvalidEventError(name, f"more than {INPUT_BYTES_MAX} bytes, which is the limit")
    try:
        given = msgspec.json.decode(content)
        routes = msgspec.convert(given, list[GivenRoute])
        return msgspec.convert([msgspec.structs.asdict(r) for r in routes], list[RouteRecord])
    except msgspec.ValidationError as error:
        wrong = invalid_event(error, given)
        raise InvalidEventError(f"{name}: {wrong.field}", wrong.problem) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidEventError(name, f"no JSON: {error}") from None


label_option = click.option(
    "--label",
    "given_labels",
    multiple=True,
    metavar="KEY=VALUE",
    help="A label, for others to select by; may be given several times.",
)


def read_labels(given: Sequence[str]) -> dict[str, str]:
    """Return the labels that are *given*, each as KEY=VALUE.

    Raises:
        InvalidEventError: One has no `=`, is given twice, or breaks a limit.
    """
    labels: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise InvalidEventError("label", f"{text!r} is not KEY=VALUE")
        if labels.setdefault(key, value) != value:
            raise InvalidEventError("label", f"{key!r} is given as {labels[key]!r} and {value!r}")
    if wrong := wrong_label(labels):
        key, problem = wrong
        raise InvalidEventError(f"label {key}" if key else "label", problem)
    return labels


def route_at(endpoint: Endpoint, address: str, labels: dict[str, str]) -> RouteRecord:
    """Return the endpoint's route at HOST:PORT as running, a new one if it has none there.

    It has *labels*; without any, a route that is there keeps its own.

    Raises:
        InvalidEventError: The address is not HOST:PORT.
    """
    host, port = split_address(address)
    for route in endpoint.present_routes:
        if (route.kernel_host, route.kernel_port) == (host, port):
            record = record_of(route)
            labels = labels or record.labels
            return msgspec.structs.replace(record, status="running", labels=labels)
    return RouteRecord(
        route_id=uuid4(),
        session_id=uuid4(),
        kernel_host=host,
        kernel_port=port,
        status="running",
        labels=labels,
    )


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of HOST:PORT; an IPv6 host stands in brackets.

    Raises:
        InvalidEventError: It is not written like that.
    """
    host, _, port = address.rpartition(":")
    if not host or not _PORT.match(port) or not 1 <= int(port) <= 65_535:
        raise InvalidEventError("route", f"{address!r} is not HOST:PORT with a port of 1 to 65535")
    return host.removeprefix("[").removesuffix("]"), int(port)


def route_id_of(endpoint: Endpoint, text: str) -> UUID:
    """Return the id of the endpoint's route that *text* names by its id, or the beginning of it.

    Raises:
        NotFoundError: It has no such route.
        click.UsageError: *text* is too short, or could be several.
    """
    if len(text) < BEGINNING_CHARACTERS_MIN:
        raise click.UsageError(
            f"route {text!r}: give at least {BEGINNING_CHARACTERS_MIN} characters of its id"
        )
    beginning = text.lower()
    found = [r.route_id for r in endpoint.present_routes if str(r.route_id).startswith(beginning)]
    if len(found) > 1:
        raise click.UsageError(f"route {text!r} could be {', '.join(map(str, found[:5]))}")
    if found:
        return found[0]
    try:
        return UUID(text)
    except ValueError:
        raise NotFoundError(
            f"endpoint {endpoint.endpoint_id} has no route whose id begins with {text!r}"
        ) from None
