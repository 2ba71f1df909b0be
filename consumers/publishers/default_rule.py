"""Decides under which address an endpoint without the labels `host` and `path` is reached."""

from typing import Annotated

from msgspec import Meta

from consumers.publishers.routing_rule import ANY_HOST, RoutingRule, checked_path, own_names
from events.limits import Limited
from projections.route_table.endpoint import Endpoint

HOST_CHARACTERS_MAX = 253
"""Characters of a host name; the domain leaves room for an endpoint's id, not for any name."""

PATH_FIELDS = ("{id}", "{name}")
"""What stands in the setting `path` for an endpoint's id and its name."""

_DOMAIN = (
    r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?){0,15})?\Z"
    r"(?#be a name such as models.example.com, in lower case)"
)
_PATH = (
    r"^(/[A-Za-z0-9._~{}-]+)*\Z"
    r"(?#begin with a slash, end without one, and have letters, digits, {id} and {name} between)"
)


class DefaultRuleSettings(Limited, frozen=True):
    """Where an endpoint without labels is reached.

    Attributes:
        domain: Ends the host names under which an endpoint without the labels `host` and `path` is
            reached: its name and its id, such as `chat.models.example.com`. Empty for none.
        path: The path under which such an endpoint is reached instead, on any host, such as
            `/endpoints/{id}`: `{id}` and `{name}` stand for its id and its name. It is taken off
            before the request goes to the replica.
    """

    domain: Annotated[str, Meta(pattern=_DOMAIN, max_length=200)] = ""
    path: Annotated[str, Meta(pattern=_PATH, max_length=200)] = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        left = self.path
        for field in PATH_FIELDS:
            left = left.replace(field, "")
        if "{" in left or "}" in left:
            raise ValueError(f"path has braces around other than {' and '.join(PATH_FIELDS)}")
        if self.path and left == self.path:
            raise ValueError(f"path has none of {', '.join(PATH_FIELDS)}: endpoints would share it")


def default_rule(endpoint: Endpoint, settings: DefaultRuleSettings) -> RoutingRule:
    """Return the rule of an endpoint without labels; raise ValueError if its path is none."""
    if settings.path:
        path = settings.path
        values = (str(endpoint.endpoint_id), endpoint.name or "")
        for field, value in zip(PATH_FIELDS, values, strict=True):
            path = path.replace(field, value)
        return RoutingRule((ANY_HOST,), checked_path(path, "its path"))
    hosts = own_names(endpoint).hosts
    if settings.domain:
        named = (f"{host}.{settings.domain}" for host in hosts)
        hosts = tuple(host for host in named if len(host) <= HOST_CHARACTERS_MAX)
    return RoutingRule(hosts)
