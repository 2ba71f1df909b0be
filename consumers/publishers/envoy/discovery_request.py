"""Reads Envoy's requests for its configuration."""

from typing import Annotated

import msgspec
from msgspec import Meta

from consumers.errors import ConsumersError

NAMES_MAX = 10_000
"""Resources that one request may name."""

_TEXT_MAX = 1_024


class InvalidDiscoveryRequestError(ConsumersError):
    """A request is none that Envoy sends; the message says what is wrong with it."""


class EnvoyNode(msgspec.Struct, frozen=True):
    """Who asks: the id is the `node.id` of the Envoy's own configuration."""

    id: Annotated[str, Meta(pattern=r"^[!-~]{1,200}\Z(?#be 1 to 200 visible ASCII characters)")] = (
        ""
    )


class DiscoveryRequest(msgspec.Struct, frozen=True):
    """A request of the REST form of the protocol, the fields of it that count here.

    Attributes:
        node: Who asks.
        version_info: What it took last of these resources, "" for nothing.
        resource_names: What it asks for, none for all.
    """

    node: EnvoyNode
    version_info: Annotated[str, Meta(max_length=_TEXT_MAX * 100)] = ""
    resource_names: Annotated[
        tuple[Annotated[str, Meta(max_length=_TEXT_MAX)], ...], Meta(max_length=NAMES_MAX)
    ] = ()


_DECODER = msgspec.json.Decoder(DiscoveryRequest)


def read_request(body: bytes) -> DiscoveryRequest:
    """Return the request in *body*.

    Raises:
        InvalidDiscoveryRequestError: It is none, or does not say who asks.
    """
    try:
        request = _DECODER.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidDiscoveryRequestError(f"this is no discovery request: {error}") from None
    if not request.node.id:
        raise InvalidDiscoveryRequestError(
            "node.id is empty: give each Envoy an id of its own in its configuration"
        )
    return request
