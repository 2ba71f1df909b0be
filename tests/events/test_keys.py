from collections import Counter
from collections.abc import Callable
from uuid import UUID, uuid4
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from events.errors import InvalidNamespaceError
from events.log.keys import NAMESPACE_CHARACTERS_MAX, Keys, partition_of

KEYS = Keys("ns")
OF_A_PARTITION: dict[str, Callable[[int], str]] = {
    "{ns:%d}:events": KEYS.events,
    "{ns:%d}:identity": KEYS.identity,
    "{ns:%d}:heads": KEYS.heads,
    "{ns:%d}:event-ids": KEYS.event_ids,
    "{ns:%d}:generations": KEYS.generations,
    "{ns:%d}:route-table:live": lambda p: KEYS.live(p, "route-table"),
    "{ns:%d}:route-table:7": lambda p: KEYS.documents(p, "route-table", 7),
    "{ns:%d}:route-table:pause": lambda p: KEYS.pause(p, "route-table"),
    "{ns:%d}:route-table:changes": lambda p: KEYS.changes(p, "route-table"),
    "{ns:%d}:errors:webhooks": lambda p: KEYS.errors(p, "webhooks"),
    "{ns:%d}:dead:webhooks": lambda p: KEYS.dead(p, "webhooks"),
}


@pytest.mark.parametrize("name", OF_A_PARTITION)
def test_the_names_of_a_partitions_keys_never_change(name: str) -> None:
    assert OF_A_PARTITION[name](3) == name % 3


@pytest.mark.parametrize("partition", [0, 1, 1_023])
def test_all_keys_of_a_partition_lie_in_one_cluster_slot(partition: int) -> None:
    slots = {key_slot(key(partition).encode()) for key in OF_A_PARTITION.values()}
    assert len(slots) == 1


def test_the_names_of_the_keys_of_a_whole_deployment_never_change() -> None:
    assert (KEYS.layout, KEYS.checkers) == ("ns:layout", "ns:checkers")
    assert KEYS.names == "ns:names"
    assert Keys().layout == "routestream:layout"


@pytest.mark.parametrize("namespace", ["a", "7", "eu-1:prod_x.y", "n" * NAMESPACE_CHARACTERS_MAX])
def test_a_namespace_is_a_plain_name(namespace: str) -> None:
    assert Keys(namespace).layout == f"{namespace}:layout"


@pytest.mark.parametrize(
    "namespace",
    ["", "..", ".a", "-a", "a/b", "a{b}", "a b", "a*", "ü", "a\n", "a\udcff", "n" * 3_000],
)
def test_a_namespace_that_means_something_else_is_refused_in_one_sentence(namespace: str) -> None:
    with pytest.raises(InvalidNamespaceError) as refused:
        Keys(namespace)
    assert len(str(refused.value).encode()) < 500
    assert str(refused.value).startswith("namespace must be 1 to 100 letters, digits, ")


def test_two_deployments_share_no_key() -> None:
    other = Keys("other")
    assert other.events(0) not in {key(0) for key in OF_A_PARTITION.values()}


@given(st.uuids(), st.integers(1, 1_024))
def test_the_partition_is_the_crc32_of_the_endpoints_bytes(endpoint: UUID, count: int) -> None:
    assert partition_of(endpoint, count) == crc32(endpoint.bytes) % count
    assert 0 <= partition_of(endpoint, count) < count


def test_the_partition_of_a_known_endpoint_never_changes() -> None:
    endpoint = UUID("6f1b6c1e-52a0-4e0c-9a0a-0d9e3a3c2f11")
    assert [partition_of(endpoint, count) for count in (1, 2, 4, 16, 1_024)] == [0, 1, 1, 13, 925]


def test_the_endpoints_are_spread_evenly() -> None:
    shares = Counter(partition_of(uuid4(), 4) for _ in range(8_000))
    assert all(1_800 < shares[partition] < 2_200 for partition in range(4))
