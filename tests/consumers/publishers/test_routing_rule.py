"""By which requests an endpoint is known: its labels, or else its name and its id."""

from uuid import UUID, uuid4

import pytest

from consumers.publishers.routing_rule import ANY_HOST, RoutingRule, routing_rule, routing_rules
from consumers.publishers.table_snapshot import Revision, published, snapshot_of
from events.entry.entry_id import EntryId
from projections.route_table.endpoint import Endpoint

AN_ID = UUID("0199d3a0-0000-7000-8000-000000000001")


def endpoint_of(name: str | None = "chat", *, at: int = 1, **labels: str) -> Endpoint:
    return Endpoint(endpoint_id=uuid4(), name=name, created_at=EntryId(at, 0), labels=labels)


def test_an_endpoint_without_labels_is_reached_by_its_name_and_its_id() -> None:
    endpoint = Endpoint(endpoint_id=AN_ID, name="Chat")

    assert routing_rule(endpoint) == RoutingRule(("chat", str(AN_ID)))


@pytest.mark.parametrize("name", [None, "a model", "größe", "-x", "a" * 64, "*", "x/y"])
def test_a_name_that_is_no_host_name_leaves_the_id(name: str | None) -> None:
    endpoint = Endpoint(endpoint_id=AN_ID, name=name)

    assert routing_rule(endpoint) == RoutingRule((str(AN_ID),))


def test_of_two_endpoints_with_one_name_the_older_has_it() -> None:
    younger, older = endpoint_of(at=2), endpoint_of(at=1)
    snapshot = snapshot_of(
        "log", Revision((EntryId(2, 0),)), [published(younger, ()), published(older, ())]
    )

    rules = routing_rules(snapshot)

    assert rules.by_endpoint[older.endpoint_id].hosts == ("chat", str(older.endpoint_id))
    assert rules.by_endpoint[younger.endpoint_id].hosts == (str(younger.endpoint_id),)
    assert [one.subject for one in rules.refusals] == ["chat"]
    assert "belongs to chat, which is older" in rules.refusals[0].why


def test_labels_name_hosts_and_a_path() -> None:
    endpoint = endpoint_of(host="Chat.Example, b.example", path="/team/chat/")

    assert routing_rule(endpoint) == RoutingRule(("chat.example", "b.example"), "/team/chat")


def test_a_path_alone_counts_for_every_host() -> None:
    assert routing_rule(endpoint_of(path="/chat")) == RoutingRule((ANY_HOST,), "/chat")


@pytest.mark.parametrize(
    "labels",
    [
        {"host": ""},
        {"host": "a.example:80"},
        {"host": "*.example"},
        {"host": "a b"},
        {"host": "a.ex\nample"},
        {"path": "chat"},
        {"path": "/a//b"},
        {"path": "/../b"},
        {"path": "/a?b"},
        {"path": "/a`)"},
        {"path": "/" + "a" * 255},
    ],
)
def test_a_label_that_no_proxy_could_match_is_refused(labels: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"label (host|path)"):
        routing_rule(endpoint_of(None, at=1, **labels))
