"""Whatever stands in the route table, a real Envoy takes what it is given of it."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections.route_table.endpoint import Endpoint
from tests.consumers.publishers.support.envoy_setup import Setup
from tests.consumers.publishers.support.put_feed import endpoint_of, route_of, snapshot_at
from tests.consumers.publishers.support.running_envoy import with_envoy

pytestmark = with_envoy

HOST_LABELS = st.one_of(
    st.text(max_size=256),
    st.sampled_from(
        ["a.example", "A.Example, b.example", "*", "*.example", "a_b", "1.2.3.4", "x."]
    ),
    st.lists(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)).map(",".join),
)
PATH_LABELS = st.one_of(
    st.text(max_size=256),
    st.from_regex(r"(/[A-Za-z0-9._~-]{1,8}){1,4}", fullmatch=True),
    st.sampled_from(["/", "/a", "/a/", "/a.b/c", "/a?b", "/a#b", "//", "/a/../b"]),
)
LABELS = st.fixed_dictionaries(
    {"revision": st.text(max_size=256)}, optional={"host": HOST_LABELS, "path": PATH_LABELS}
)
KERNEL_HOSTS = st.one_of(
    st.ip_addresses().map(str),
    st.sampled_from(
        [
            "",
            "node-1",
            "127.0.0.1",
            "0.0.0.0",  # noqa: S104 - nothing binds to it
            "::",
            "::1",
            "fe80::1%eth0",
            "1.2.3",
        ]
    ),
    st.text(min_size=1, max_size=40),
)
ROUTES = st.builds(
    route_of,
    st.integers(0, 50),
    st.sampled_from([1, 80, 8_000, 65_535]),
    kernel_host=KERNEL_HOSTS,
    protocol=st.sampled_from(["http", "h2", "grpc", "tcp", "preopen"]),
    traffic_ratio=st.floats(0, 1_000_000),
    labels=LABELS,
)
ENDPOINTS = st.builds(
    lambda one, routes, labels, name: endpoint_of(one, *routes, labels=labels, name=name),
    st.sampled_from(["one", "two", "three", "four"]),
    st.lists(ROUTES, max_size=5, unique_by=lambda route: route.route_id),
    LABELS,
    st.one_of(st.none(), st.text(max_size=256), st.sampled_from(["one", "TWO", "a.example"])),
)
TABLES = st.lists(ENDPOINTS, min_size=1, max_size=4, unique_by=lambda one: one.endpoint_id)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(endpoints=TABLES)
async def test_no_table_is_refused(served: Setup, endpoints: list[Endpoint]) -> None:
    at = served.feed.sequence + 1
    served.feed.put(snapshot_at(*endpoints, at=at))

    await served.until_acknowledged(at)

    rejected = await served.envoy.statistics("update_rejected")
    assert len(rejected) >= 3
    assert set(rejected.values()) == {0}
