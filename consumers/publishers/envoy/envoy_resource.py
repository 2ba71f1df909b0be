"""Defines what Envoy is given: resources of four types, encoded, each with its version."""

from collections.abc import Mapping, Sequence
from enum import Enum
from hashlib import sha256
from typing import Any

import msgspec

_DIGEST_CHARACTERS = 16
_ENCODER = msgspec.json.Encoder(order="deterministic")


class ResourceType(Enum):
    """A type of resource, by what the paths of the REST protocol call it."""

    LISTENERS = "listeners"
    ROUTES = "routes"
    CLUSTERS = "clusters"
    ENDPOINTS = "endpoints"

    @property
    def url(self) -> str:
        """The type as the protocol names it in requests and responses."""
        return f"type.googleapis.com/{_MESSAGES[self]}"


_MESSAGES = {
    ResourceType.LISTENERS: "envoy.config.listener.v3.Listener",
    ResourceType.ROUTES: "envoy.config.route.v3.RouteConfiguration",
    ResourceType.CLUSTERS: "envoy.config.cluster.v3.Cluster",
    ResourceType.ENDPOINTS: "envoy.config.endpoint.v3.ClusterLoadAssignment",
}


class EnvoyResource(msgspec.Struct, frozen=True):
    """One resource, encoded.

    Attributes:
        body: Its JSON, with its type.
        digest: What distinguishes this content from any other.
        since: The revision of the table with which it became what it is.
    """

    body: bytes
    digest: str
    since: str


class EnvoyAnswer(msgspec.Struct, frozen=True):
    """What a request for some resources of a type is answered with."""

    version: "Version"
    bodies: Sequence[bytes]


class Version(msgspec.Struct, frozen=True):
    """A `version_info`: `1796066648053-0/1f3a…`, the revision and a digest of the content.

    A table that changes elsewhere leaves a type's content as it is, and the version with it; two
    processes that publish the same log give the same digests, so that Envoy may change between them
    and is not given again what it has.
    """

    revision: str
    digest: str

    def __str__(self) -> str:
        return f"{self.revision}/{self.digest}"


def digest_in(version_info: str) -> str:
    """Return the digest of a `version_info`, "" where it has none."""
    return version_info.partition("/")[2]


def encoded(
    kind: ResourceType, content: Mapping[str, Any], since: str, before: EnvoyResource | None
) -> EnvoyResource:
    """Return *content* as a resource; *before* where that is equal to it."""
    body = _ENCODER.encode({"@type": kind.url, **content})
    digest = _digest(body)
    if before is not None and before.digest == digest:
        return before
    return EnvoyResource(body, digest, since)


def answer_of(resources: Mapping[str, EnvoyResource], since: str) -> EnvoyAnswer:
    """Return the answer that consists of *resources*; *since* is its revision if there are many."""
    if len(resources) == 1:
        [one] = resources.values()
        return EnvoyAnswer(Version(one.since, one.digest), [one.body])
    digests = (f"{name} {one.digest}\n".encode() for name, one in sorted(resources.items()))
    return EnvoyAnswer(
        Version(since, _digest(b"".join(digests))), [one.body for one in resources.values()]
    )


def response_of(kind: ResourceType, answer: EnvoyAnswer) -> bytes:
    """Return the discovery response that gives *answer*."""
    return _ENCODER.encode(
        {
            "version_info": str(answer.version),
            "type_url": kind.url,
            "resources": list(map(msgspec.Raw, answer.bodies)),
        }
    )


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()[:_DIGEST_CHARACTERS]


def config_source(cluster: str, refresh_delay_s: float, request_timeout_s: float) -> dict[str, Any]:
    """Return where Envoy finds resources: here again."""
    return {
        "resource_api_version": "V3",
        "api_config_source": {
            "api_type": "REST",
            "transport_api_version": "V3",
            "cluster_names": [cluster],
            "refresh_delay": f"{refresh_delay_s:.3f}s",
            "request_timeout": f"{request_timeout_s:.3f}s",
        },
    }
