"""Encodes a snapshot of the route table as everything that Envoy may ask for."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Self

import msgspec

from consumers.publishers.default_rule import default_rule
from consumers.publishers.envoy.envoy_cluster import assignment_of, cluster_name, cluster_of
from consumers.publishers.envoy.envoy_listener import LISTENER, ROUTES, listener_of, routes_of
from consumers.publishers.envoy.envoy_resource import (
    EnvoyAnswer,
    EnvoyResource,
    ResourceType,
    answer_of,
    encoded,
)
from consumers.publishers.envoy.envoy_settings import EnvoySettings
from consumers.publishers.proxy_ledger import Refusal
from consumers.publishers.routing_rule import RoutingRules, routing_rules
from consumers.publishers.table_snapshot import PublishedEndpoint, Revision, TableSnapshot


class EncodedEndpoint(msgspec.Struct, frozen=True):
    """One endpoint, encoded, and what of it could not be."""

    source: PublishedEndpoint
    cluster: EnvoyResource
    assignment: EnvoyResource
    refusals: Sequence[Refusal]


class Changes(msgspec.Struct, frozen=True):
    """What a table has that the one before it had not.

    Attributes:
        kinds: The types of which something changed that is asked for as a whole.
        names: The clusters whose routes changed, those that came or went included.
    """

    kinds: AbstractSet[ResourceType]
    names: AbstractSet[str]

    def touch(self, kind: ResourceType, names: Sequence[str]) -> bool:
        """Whether a request for *names* may have another answer now; see `EnvoyTable.answer`."""
        return not self.names.isdisjoint(names) if names else kind in self.kinds


class EnvoyTable(msgspec.Struct, frozen=True):
    """A snapshot as Envoy is given it.

    Attributes:
        revision: The snapshot's.
        endpoints: Each endpoint's resources, by the name of its cluster.
        wholes: For each type but the endpoints all there is of it.
        rules: Which requests go where.
        refusals: What of the snapshot Envoy could not be given.
    """

    revision: Revision
    endpoints: Mapping[str, EncodedEndpoint]
    wholes: Mapping[ResourceType, EnvoyAnswer]
    rules: RoutingRules
    refusals: Sequence[Refusal]

    def changes_since(self, before: Self) -> Changes:
        """Return what is not as it was *before*."""
        kinds = {kind for kind, whole in self.wholes.items() if whole is not before.wholes[kind]}
        names = self.endpoints.keys() ^ before.endpoints.keys()
        for name, endpoint in self.endpoints.items():
            known = before.endpoints.get(name)
            if known is not None and known.assignment is not endpoint.assignment:
                names.add(name)
        return Changes(kinds, names)

    def answer(self, kind: ResourceType, names: Sequence[str]) -> EnvoyAnswer | None:
        """Return the answer to a request for *names*, none for all; None: nothing is known of it.

        Only endpoints are asked for by name; of a name that is not there nothing is said, for an
        empty answer would be the order to drop something.
        """
        if kind is not ResourceType.ENDPOINTS:
            return self.wholes[kind]
        found = {name: self.endpoints[name] for name in names if name in self.endpoints}
        assignments = {name: one.assignment for name, one in found.items()}
        return answer_of(assignments, str(self.revision)) if assignments else None


def encode_table(
    snapshot: TableSnapshot, settings: EnvoySettings, before: EnvoyTable | None = None
) -> EnvoyTable:
    """Return *snapshot* as Envoy is given it.

    *before* saves the work for what is as it was, and keeps its versions; the content is the same
    without it.
    """
    since = str(snapshot.revision)
    endpoints = _endpoints(snapshot, settings, since, before)
    rules = _rules(snapshot, settings, before)
    refusals = [refusal for one in endpoints.values() for refusal in one.refusals]
    return EnvoyTable(
        revision=snapshot.revision,
        endpoints=endpoints,
        wholes=_wholes(endpoints, rules, settings, since, before),
        rules=rules,
        refusals=(*rules.refusals, *refusals),
    )


def _endpoints(
    snapshot: TableSnapshot, settings: EnvoySettings, since: str, before: EnvoyTable | None
) -> dict[str, EncodedEndpoint]:
    """Return all endpoints encoded, by the names of their clusters."""
    present = snapshot.endpoints.values()
    known = before.endpoints if before is not None else {}
    # A name costs more than all else of an endpoint that is as it was: most tables keep them.
    if [one.source.state.endpoint_id for one in known.values()] == list(snapshot.endpoints):
        named = zip(known, present, strict=True)
    else:
        named = zip(map(cluster_name, present), present, strict=True)
    return {
        name: before_it
        if (before_it := known.get(name)) and before_it.source is endpoint
        else _endpoint(endpoint, settings, since, before_it)
        for name, endpoint in named
    }


def _endpoint(
    endpoint: PublishedEndpoint,
    settings: EnvoySettings,
    since: str,
    before: EncodedEndpoint | None,
) -> EncodedEndpoint:
    cluster, assignment = (before.cluster, before.assignment) if before else (None, None)
    content, refusals = assignment_of(endpoint)
    return EncodedEndpoint(
        endpoint,
        encoded(ResourceType.CLUSTERS, cluster_of(endpoint, settings), since, cluster),
        encoded(ResourceType.ENDPOINTS, content, since, assignment),
        refusals,
    )


def _rules(
    snapshot: TableSnapshot, settings: EnvoySettings, before: EnvoyTable | None
) -> RoutingRules:
    known = None if before is None else before.rules
    return routing_rules(snapshot, lambda endpoint: default_rule(endpoint, settings), known)


def _wholes(
    endpoints: Mapping[str, EncodedEndpoint],
    rules: RoutingRules,
    settings: EnvoySettings,
    since: str,
    before: EnvoyTable | None,
) -> dict[ResourceType, EnvoyAnswer]:
    """Return all listeners, routes and clusters; what is as it was keeps its version."""
    wholes = {} if before is None else dict(before.wholes)
    if before is None or rules is not before.rules:
        listener = encoded(ResourceType.LISTENERS, listener_of(settings), since, None)
        routes = encoded(ResourceType.ROUTES, routes_of(rules.by_endpoint), since, None)
        _take_new(wholes, ResourceType.LISTENERS, answer_of({LISTENER: listener}, since))
        _take_new(wholes, ResourceType.ROUTES, answer_of({ROUTES: routes}, since))
    if before is None or not _are_same_clusters(endpoints, before.endpoints):
        clusters = {name: one.cluster for name, one in endpoints.items()}
        _take_new(wholes, ResourceType.CLUSTERS, answer_of(clusters, since))
    return wholes


def _take_new(
    wholes: dict[ResourceType, EnvoyAnswer], kind: ResourceType, answer: EnvoyAnswer
) -> None:
    known = wholes.get(kind)
    if known is None or known.version.digest != answer.version.digest:
        wholes[kind] = answer


def _are_same_clusters(
    endpoints: Mapping[str, EncodedEndpoint], before: Mapping[str, EncodedEndpoint]
) -> bool:
    return endpoints.keys() == before.keys() and all(
        one.cluster is before[name].cluster for name, one in endpoints.items()
    )
