"""Whatever is read back gives a value or a typed error: every kind of stored bytes, damaged."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.archive.errors import ArchiveError
from events.archive.manifest import ArchiveManifest
from events.archive.segment import Packing, check
from events.catalogue.route import RouteTerminatingEvent
from events.entry.codec import decode, encode
from events.entry.entry_id import EntryId
from events.entry.entry_line import entry_of, line_of
from events.entry.recorded import Entry
from events.entry.stored_json import DEPTH_MAX, any_json
from events.errors import DamagedValueError, EventsError
from events.server.reply import whole_number
from events.transfer.export_file import read_export
from projections.errors import SnapshotError, UnreadableDocumentError
from projections.health_state.health_state import HEALTH_STATE
from projections.read_model.change_feed import feed_entry_of
from projections.route_table.route_table import ROUTE_TABLE
from projections.snapshots.manifest import SnapshotManifest, read_manifest
from tests.support.histories import endpoint_of, health_of, history, listed, observed, record

E = UUID(int=14)
EVENTS = history(listed(record(0, status="running")), observed("unhealthy", reason="no reply"))
FIELDS = encode(RouteTerminatingEvent(endpoint_id=E, route_id=E), E, "test")
LINE = line_of((b"5-1", [part for field in FIELDS.items() for part in field]))


def _segment() -> tuple[bytes, Callable[[bytes], object]]:
    packing = Packing()
    packing.add((b"5-1", [b"name", b"value"]))
    segment, data, content = packing.finish()
    return data, lambda raw: check(segment, raw, content)


def _read_feed_entry(changes: bytes) -> object:
    return feed_entry_of((b"1-1", [b"previous", b"", b"generation", b"7", b"changes", changes]))


def _read_payload(raw: bytes) -> object:
    return decode(Entry(EntryId(1, 1), 0, {**FIELDS, b"payload": raw}))


def _read_file(read: Callable[[Path], object], name: str) -> Callable[[bytes], object]:
    def read_back(raw: bytes) -> object:
        with TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(raw)
            return read(path)

    return read_back


MANIFEST = SnapshotManifest(
    namespace="ns",
    partitions=1,
    partition=0,
    projection="route-table",
    version=1,
    position="5-1",
    appended=1,
    file="route-table-v1-5-1.jsonl.zst",
)
DATA, CHECK = _segment()
KINDS: dict[str, tuple[bytes, Callable[[bytes], object], type[Exception]]] = {
    "route table": (
        ROUTE_TABLE.encode(endpoint_of(EVENTS), 3),
        ROUTE_TABLE.read,
        UnreadableDocumentError,
    ),
    "health state": (
        HEALTH_STATE.encode(health_of(EVENTS), 3),
        HEALTH_STATE.read,
        UnreadableDocumentError,
    ),
    "change feed": (f"{E} 3".encode(), _read_feed_entry, DamagedValueError),
    "event": (FIELDS[b"payload"], _read_payload, EventsError),
    "archived entry": (LINE, entry_of, EventsError),
    "segment": (DATA, CHECK, ArchiveError),
    "archive manifest": (
        ArchiveManifest(namespace="ns", partition=0).encode(),
        lambda raw: ArchiveManifest.parse(raw, "ns", 0),
        ArchiveError,
    ),
    "snapshot manifest": (
        msgspec.json.encode(MANIFEST),
        _read_file(read_manifest, "route-table-v1-5-1.manifest.json"),
        SnapshotError,
    ),
    "export": (LINE, _read_file(lambda path: list(read_export(path)), "export"), EventsError),
    "count": (b"17", whole_number, DamagedValueError),
    "JSON": (FIELDS[b"payload"], any_json, DamagedValueError),
}


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Return any bytes, or *whole* with a part cut out or replaced."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=200))
    begin = draw(st.integers(0, len(whole)))
    end = draw(st.integers(begin, len(whole)))
    nested = b"[" * draw(st.sampled_from([1, DEPTH_MAX + 1, 100_000]))
    odd = st.sampled_from([nested, b"\xff", b"-1", b"9" * 30, b"1e999", b"NaN", b"\x00", b"null"])
    return whole[:begin] + draw(st.one_of(odd, st.binary(max_size=8))) + whole[end:]


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_bytes_give_a_value_or_the_error_of_their_kind(kind: str) -> None:
    whole, read, error = KINDS[kind]
    if kind != "export":  # it has an entry, but no header
        read(whole)

    @given(raw=damaged(whole))
    def is_read_or_refused(raw: bytes) -> None:
        try:
            read(raw)
        except error as refused:
            assert str(refused)  # noqa: PT017 - either end is right

    is_read_or_refused()


@pytest.mark.parametrize(
    ("given_name", "given_value"),
    [
        ("projection", "../../../victim"),
        ("file", "../../../victim.txt"),
        ("file", "/etc/victim"),
        ("file", "route-table-v1-6-1.jsonl.zst"),
        ("position", "6-1"),
    ],
)
def test_the_manifest_of_a_snapshot_names_no_other_file_than_its_own(
    tmp_path: Path, given_name: str, given_value: str
) -> None:
    path = tmp_path / "route-table-v1-5-1.manifest.json"
    path.write_bytes(msgspec.json.encode(MANIFEST))
    assert read_manifest(path) == MANIFEST
    changed = msgspec.structs.replace(MANIFEST, **{given_name: given_value})
    path.write_bytes(msgspec.json.encode(changed))
    with pytest.raises(SnapshotError, match="and names the file"):
        read_manifest(path)


def test_json_of_any_form_has_a_bounded_depth_also_where_strings_have_brackets() -> None:
    deepest = b"[" * DEPTH_MAX + b"]" * DEPTH_MAX
    assert any_json(deepest) is not None
    in_strings = msgspec.json.encode(['[{"\\' * 1_000] * 100)
    assert any_json(in_strings) == ['[{"\\' * 1_000] * 100
    for deep in (b"[" + deepest + b"]", b'{"a":' * (DEPTH_MAX + 1) + b"1" + b"}" * (DEPTH_MAX + 1)):
        with pytest.raises(DamagedValueError, match=f"nested deeper than {DEPTH_MAX} levels"):
            any_json(deep)
