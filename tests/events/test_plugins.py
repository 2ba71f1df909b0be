"""Packages that add event types, projections and groups: found when needed, refused if unfit."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.support.packages import BIN, environment_with, write_package

BROKEN = {
    "no_module": (
        "events",
        "note_added",
        "nowhere:Note",
        "ModuleNotFoundError: No module named 'nowhere'",
    ),
    "raising": ("events", "note_added", "raising:Note", "ZeroDivisionError: division by zero"),
    "leaving": ("events", "note_added", "leaving:Note", "SystemExit: 3"),
    "no_attribute": (
        "events",
        "note_added",
        "no_attribute:Note",
        "AttributeError: module 'no_attribute' has no attribute 'Note'",
    ),
    "no_event": ("events", "note_added", "no_event:Note", "7 is no subclass of events.Event"),
    "other_name": (
        "events",
        "note_added",
        "other_name:Note",
        "its wire_name is 'note_taken', the entry point's is 'note_added'",
    ),
    "taken_event": (
        "events",
        "route_created",
        "taken_event:Note",
        "the name 'route_created' is taken by routestream",
    ),
    "odd_name": (
        "events",
        "Note:Added",
        "odd_name:Note",
        "the name 'Note:Added' must be at most 64 lower-case letters and digits, joined by - or _",
    ),
    "no_upcaster": (
        "events",
        "note_added",
        "no_upcaster:Note",
        "version 1 has no upcaster to the next one",
    ),
    "no_projection": (
        "projections",
        "notes",
        "no_projection:NOTES",
        "7 is no projections.Projection",
    ),
    "taken_projection": (
        "projections",
        "route-table",
        "taken_projection:NOTES",
        "the name 'route-table' is taken by routestream",
    ),
    "mixing_keys": (
        "projections",
        "requeues",
        "mixing_keys:NOTES",
        "the name 'requeues' would mix its keys with others",
    ),
    "like_a_version": (
        "projections",
        "route-table-v2",
        "like_a_version:NOTES",
        "the name 'route-table-v2' would mix its keys with others",
    ),
    "no_group": ("handlers", "audit", "no_group:AUDIT", "7 is no consumers.GroupDefinition"),
    "taken_group": (
        "handlers",
        "webhook",
        "taken_group:AUDIT",
        "the name 'webhook' is taken by routestream",
    ),
    "retention_group": (
        "handlers",
        "retention",
        "retention_group:AUDIT",
        "the name 'retention' is taken by routestream",
    ),
}
"""A package: what it adds as which name from where, and why that is refused."""

EVENT = """
from events import Event

class Note(Event, frozen=True, kw_only=True):
    wire_name = {name!r}
    text: str
"""
PROJECTION = """
from msgspec.structs import replace
from projections import ROUTE_TABLE
import dataclasses

NOTES = dataclasses.replace(ROUTE_TABLE, name={name!r})
"""
GROUP = """
from consumers import handler_group

async def handle(recorded): pass

AUDIT = handler_group({name!r}, handle, about="does nothing")
"""
CODE = {
    "raising": "1 / 0",
    "leaving": "raise SystemExit(3)",
    "no_event": "Note = 7",
    "other_name": EVENT.format(name="note_taken"),
    "taken_event": EVENT.format(name="route_created"),
    "odd_name": EVENT.format(name="Note:Added"),
    "no_upcaster": EVENT.format(name="note_added") + "    version = 2\n",
    "no_projection": "NOTES = 7",
    "taken_projection": PROJECTION.format(name="route-table"),
    "mixing_keys": PROJECTION.format(name="requeues"),
    "like_a_version": PROJECTION.format(name="route-table-v2"),
    "no_group": "AUDIT = 7",
    "taken_group": GROUP.format(name="webhook"),
    "retention_group": GROUP.format(name="retention"),
}
ALL_THAT_THERE_IS = """
import json
from consumers.doctor.plugin_findings import plugin_findings
from consumers.shipped import GROUPS
from events.catalogue.registry import BY_WIRE_NAME
from events.plugins import broken_plugins
from projections.catalogue import PROJECTIONS, READ_MODELS
import msgspec

there = {
    "groups": list(GROUPS), "types": list(BY_WIRE_NAME), "projections": list(PROJECTIONS),
    "read_models": list(READ_MODELS), "broken": broken_plugins(),
    "findings": list(plugin_findings()),
}
print(msgspec.json.encode(there).decode())
"""


class Broken(msgspec.Struct):
    kind: str
    name: str
    owner: str
    why: str


class Finding(msgspec.Struct):
    severity: str
    about: str
    what: str
    figure: str
    to_do: str


class There(msgspec.Struct):
    groups: list[str]
    types: list[str]
    projections: list[str]
    read_models: list[str]
    broken: list[Broken]
    findings: list[Finding]


def there_is(target: Path | None) -> There:
    """Return what a program finds with the packages in *target*."""
    done = subprocess.run(
        [sys.executable, "-c", ALL_THAT_THERE_IS],
        env=environment_with(target),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return msgspec.json.decode(done.stdout, type=There)


@pytest.fixture(scope="module")
def shipped() -> There:
    return there_is(None)


@pytest.fixture(scope="module")
def with_all_broken(tmp_path_factory: pytest.TempPathFactory) -> There:
    target = tmp_path_factory.mktemp("broken")
    for package, (kind, name, place, _) in BROKEN.items():
        write_package(target, package, {kind: {name: place}}, CODE.get(package, ""))
    return there_is(target)


def test_without_packages_there_is_what_is_shipped(shipped: There) -> None:
    assert shipped.projections == ["route-table", "health-state"]
    assert shipped.groups == [*shipped.read_models, "webhook", "backend-ai"]
    assert shipped.broken == []
    assert shipped.findings == []


def test_broken_packages_change_nothing_of_what_is_shipped(
    shipped: There, with_all_broken: There
) -> None:
    assert with_all_broken.types == shipped.types
    assert with_all_broken.projections == shipped.projections
    assert with_all_broken.groups == shipped.groups


@pytest.mark.parametrize("package", BROKEN)
def test_a_broken_plugin_is_named_with_its_package_and_what_is_wrong(
    with_all_broken: There, package: str
) -> None:
    kind, name, _, why = BROKEN[package]
    [plugin] = [one for one in with_all_broken.broken if one.owner == f"{package} 1.0"]
    assert (plugin.kind, plugin.name, plugin.why) == (f"routestream.{kind}", name, why)
    [finding] = [one for one in with_all_broken.findings if f"{package} 1.0" in one.about]
    assert finding.severity == "warning"
    assert finding.about == f"plugin {name} of {package} 1.0"
    assert finding.what == f"it is skipped: {why}"


def test_of_two_packages_with_one_name_the_second_is_refused_and_both_are_named(
    tmp_path: Path,
) -> None:
    for package in ("second", "first"):
        points = {"events": {"note_added": f"{package}:Note"}}
        write_package(tmp_path, package, points, EVENT.format(name="note_added"))
    found = there_is(tmp_path)
    assert found.types[-1] == "note_added"
    [broken] = found.broken
    assert broken.owner == "second 1.0"
    assert broken.why == "the name 'note_added' is taken by first 1.0"


def test_a_projection_and_a_group_of_one_name_do_not_share_a_position(tmp_path: Path) -> None:
    points = {"projections": {"notes": "both:NOTES"}, "handlers": {"notes": "both:AUDIT"}}
    code = PROJECTION.format(name="notes") + GROUP.format(name="notes")
    write_package(tmp_path, "both", points, code)
    found = there_is(tmp_path)
    assert found.groups.count("notes") == 1
    assert [one.why for one in found.broken] == ["the name 'notes' is taken by both 1.0"]


def test_a_package_with_a_broken_event_type_reads_nothing(tmp_path: Path) -> None:
    """Its group would take its own events for unknown ones, and skip them for good."""
    points = {
        "events": {"note_added": "half:Missing"},
        "projections": {"notes": "half:NOTES"},
        "handlers": {"audit": "half:AUDIT"},
    }
    code = PROJECTION.format(name="notes") + GROUP.format(name="audit")
    write_package(tmp_path, "half", points, code)
    found = there_is(tmp_path)
    assert not {"notes", "audit"} & set(found.groups)
    assert [one.name for one in found.broken] == ["note_added", "notes", "audit"]


LOOKED_FOR = """
import sys
from events.catalogue.registry import BY_WIRE_NAME
from events.entry.codec import decode
from events.entry.entry_id import EntryId
from events.entry.recorded import Entry
from events.errors import UnknownEventTypeError

payload = b'{"endpoint_id": "7ccd26ec-0000-4000-8000-000000000001", "text": "x"}'

def read(name):
    fields = {b"name": name, b"v": b"1", b"id": b"1", b"source": b"s", b"payload": payload}
    return decode(Entry(EntryId(1, 0), 0, fields)).event

read(b"endpoint_destroyed")
print("late" in sys.modules)
print(type(read(b"note_added")).__name__, read(b"note_added").text, "late" in sys.modules)
try:
    read(b"never_heard_of")
except UnknownEventTypeError as error:
    print(error)
"""


def test_a_package_is_imported_only_once_an_entry_asks_for_it(tmp_path: Path) -> None:
    points = {"events": {"note_added": "late:Note"}}
    write_package(tmp_path, "late", points, EVENT.format(name="note_added"))
    command = [sys.executable, "-c", LOOKED_FOR]
    environment = environment_with(tmp_path)
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.stdout.splitlines() == [
        "False",
        "Note x True",
        "event type 'never_heard_of' is not known here",
    ], done.stderr


def imports_a_package(target: Path, command: str) -> bool:
    marker = target / "imported"
    code = f"open({str(marker)!r}, 'w').close()\n" + PROJECTION.format(name="notes")
    write_package(target, "late", {"projections": {"notes": "late:NOTES"}}, code)
    subprocess.run(
        [BIN / "routestream", *command.split()],
        env=environment_with(target),
        capture_output=True,
        check=True,
        timeout=100,
    )
    return marker.exists()


@pytest.mark.parametrize("command", ["--help", "events tail --help"])
def test_a_command_that_needs_no_package_imports_none(tmp_path: Path, command: str) -> None:
    assert not imports_a_package(tmp_path, command)


@pytest.mark.parametrize("command", ["replay rebuild --help", "consume --help"])
def test_a_command_that_lists_what_there_is_imports_them(tmp_path: Path, command: str) -> None:
    assert imports_a_package(tmp_path, command)


LEFT_OUT = """
from consumers.settings import Settings
from consumers.shipped import set_up_groups

print(*set_up_groups(Settings()))
"""


def test_a_group_that_cannot_say_what_it_lacks_is_left_out_where_all_are_run(
    tmp_path: Path,
) -> None:
    code = GROUP.format(name="audit").replace("about=", "missing_setting=lambda _: 1 / 0, about=")
    write_package(tmp_path, "odd", {"handlers": {"audit": "odd:AUDIT"}}, code)
    command = [sys.executable, "-c", LEFT_OUT]
    environment = environment_with(tmp_path)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "route-table health-state\n"
    assert "group_left_out group='audit' error='ZeroDivisionError" in done.stderr
