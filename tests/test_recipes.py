"""The recipes of CONTRIBUTING, each applied to a copy of the tree: what it adds is everywhere."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen
from uuid import UUID

import pytest

from events import EndpointCreatedEvent, EventLog
from tests.support.recipes import Tree, recipes

CHAT = UUID("7ccd26ec-0000-4000-8000-000000000001")
FILES = {
    "Add an event type": 3,
    "Add a projection": 2,
    "Add a handler group": 1,
    "Add a metric": 1,
    "Add a setting": 1,
    "Add a column": 1,
}
"""How many files each recipe touches."""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def tree(tmp_path: Path, redis_url: str, namespace: str) -> Tree:
    return Tree(tmp_path, redis_url, namespace)


@contextmanager
def running(tree: Tree, *arguments: str) -> Iterator[Iterator[dict[str, object]]]:
    """Run a command of the copy, and give the lines of its log as they come."""
    with tree.starting(*arguments) as process:
        assert process.stderr is not None
        try:
            yield map(json.loads, process.stderr)
        finally:
            process.terminate()
            process.stderr.read()
        assert process.wait(60) == 0


def first(lines: Iterator[dict[str, object]], event: str) -> dict[str, object]:
    for line in lines:
        if line["event"] == event:
            return line
    raise AssertionError(f"the process ended without {event}")


def scraped(url: str) -> str:
    with urlopen(url, timeout=30) as reply:  # noqa: S310 - the process says where it serves
        text: str = reply.read().decode()
        return text


def created() -> EndpointCreatedEvent:
    return EndpointCreatedEvent(endpoint_id=CHAT, name="chat", model="llama-3")


def test_the_page_has_a_recipe_for_each_thing_that_is_added() -> None:
    assert list(recipes()) == list(FILES)


@pytest.mark.parametrize("title", FILES)
def test_a_recipe_touches_few_files_and_its_code_is_clean(tree: Tree, title: str) -> None:
    touched = tree.apply(title)
    assert len(touched) == FILES[title], touched
    code = sorted(name for name in touched if name.endswith(".py"))
    for ruff in (("check", "--no-cache"), ("format", "--check", "--no-cache")):
        command = [str(Path(sys.executable).with_name("ruff")), *ruff, *code]
        checked = subprocess.run(
            command, cwd=tree.folder, capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stdout


APPEND = """
import anyio, os, uuid
from events import RouteNoteAddedEvent, open_log

async def main():
    url, namespace = os.environ["REDIS_URL"], os.environ["ROUTESTREAM_NAMESPACE"]
    async with open_log(url, namespace=namespace) as log:
        about = {"endpoint_id": uuid.UUID(int=1), "route_id": uuid.UUID(int=7 << 96)}
        await log.append(RouteNoteAddedEvent(**about, note="slow disk"))

anyio.run(main)
"""
REQUIRED = "from consumers.retention.settings import required_holders; print(*required_holders())"
COPY = "import consumers, events, projections; print(consumers.__file__, events.__file__)"


def test_a_copy_runs_its_own_code(tree: Tree) -> None:
    assert all(Path(one).is_relative_to(tree.folder) for one in tree.python("-c", COPY).split())


def test_an_event_type_is_appended_shown_filtered_completed_and_kept_readable(tree: Tree) -> None:
    tree.apply("Add an event type")
    tree.python("-c", APPEND)
    chosen = ("events", "range", "start..", "--type", "route_note_*")
    shown = tree.routestream(*chosen)
    assert "route_note_added" in shown
    assert "00000007, note slow disk" in shown
    [entry] = json.loads(tree.routestream(*chosen, "-o", "json"))
    assert (entry["name"], entry["payload"]["note"]) == ("route_note_added", "slow disk")
    tree.environment |= {"_ROUTESTREAM_COMPLETE": "bash_complete", "COMP_CWORD": "4"}
    tree.environment |= {"COMP_WORDS": "routestream events tail --type route_n"}
    assert "route_note_added" in tree.routestream()
    watching = ("tests/events/test_upcasters.py", "tests/events/test_codec.py")
    only = ("-p", "no:cacheprovider", "-k", "route_note_added or example or package")
    assert "passed" in tree.python("-m", "pytest", "-q", *only, *watching)


def test_an_event_type_without_a_recorded_example_is_noticed(tree: Tree) -> None:
    tree.apply("Add an event type")
    (tree.folder / "tests/events/recorded/route_note_added.v1.json").unlink()
    tests = ("-p", "no:cacheprovider", "tests/events/test_upcasters.py")
    told = tree.python("-m", "pytest", "-q", *tests, exit_code=1)
    assert "test_there_is_a_recorded_example_of_every_version_ever_shipped" in told


async def test_a_projection_has_its_group_its_read_model_and_a_place_in_every_command(
    tree: Tree, log: EventLog
) -> None:
    tree.apply("Add a projection")
    await log.append(created())
    findings = json.loads(tree.routestream("doctor", "-o", "json", exit_code=1))
    assert any(one["about"].startswith("read model served-model") for one in findings)
    with running(tree, "consume", "served-model") as lines:
        first(lines, "consumer_started")
        listed = json.loads(tree.routestream("groups", "ls", "-o", "json"))
        assert [one["group"] for one in listed] == ["served-model"]
    tree.routestream("replay", "verify", "served-model")
    about = ("--projection", "served-model")
    heading, row = tree.routestream("replay", "show", *about, "--as-of", "end").splitlines()
    assert heading.split() == ["ENDPOINT", "VERSION", "MODEL"]
    assert row.split()[-1] == "llama-3"
    [changed] = json.loads(
        tree.routestream("replay", "diff", *about, "--from", "start", "-o", "json")
    )
    assert [one["after"] for one in changed["changes"]] == ["llama-3"]
    [kept] = json.loads(tree.routestream("snapshot", "take", "served-model", "-o", "json"))
    assert kept["projection"] == "served-model"
    assert "snapshot:served-model" in tree.python("-c", REQUIRED).split()
    assert "served-model" in tree.python("-m", "docs.pages.cli_pages")


def test_a_projection_is_held_to_the_laws_of_all(tree: Tree) -> None:
    tree.apply("Add a projection")
    law = "served-model and any_order"
    chosen = ("-p", "no:cacheprovider", "-k", law, "tests/projections/test_order.py")
    assert "1 passed" in tree.python("-m", "pytest", "-q", *chosen)


async def test_a_handler_group_is_run_listed_and_named_in_the_help(
    tree: Tree, log: EventLog
) -> None:
    tree.apply("Add a handler group")
    with running(tree, "consume", "journal") as lines:
        first(lines, "consumer_started")
        await log.append(created())
        told = first(lines, "event_recorded")
        assert (told["endpoint"], told["by"]) == (str(CHAT), "test")
    listed = json.loads(tree.routestream("groups", "ls", "-o", "json"))
    assert [one["group"] for one in listed] == ["journal"]
    assert "journal" in tree.python("-m", "docs.pages.cli_pages")
    findings = json.loads(tree.routestream("doctor", "-o", "json", exit_code=1))
    assert any("routestream consume journal" in str(one["to_do"]) for one in findings)


async def test_a_metric_is_served_and_on_its_page(tree: Tree, log: EventLog) -> None:
    tree.apply("Add a metric")
    await log.append(created())
    with running(tree, "consume", "route-table") as lines:
        url = str(first(lines, "metrics_served")["url"])
        first(lines, "consumer_started")
        served = scraped(url)
    assert 'routestream_entries_ended_total{group="route-table",partition="0"}' in served
    assert "| `routestream_entries_ended_total` | counter |" in tree.python(
        "-m", "docs.pages.metrics_page"
    )


def test_a_setting_is_read_checked_and_on_its_page(tree: Tree) -> None:
    tree.apply("Add a setting")
    show = (
        "import os; from pathlib import Path; from consumers.settings import read_settings;"
        "print(read_settings(Path('settings.yaml'), os.environ).consumer.prune_every_s)"
    )
    (tree.folder / "settings.yaml").write_text("consumer: {prune_every_s: 7}")
    assert tree.python("-c", show) == "7.0\n"
    tree.environment["ROUTESTREAM_CONSUMER_PRUNE_EVERY_S"] = "9"
    assert tree.python("-c", show) == "9.0\n"
    tree.environment["ROUTESTREAM_CONSUMER_PRUNE_EVERY_S"] = "0"
    tree.routestream("groups", "ls", exit_code=2)
    page = tree.python("-m", "docs.pages.settings_page")
    row = "| `consumer.prune_every_s` | `ROUTESTREAM_CONSUMER_PRUNE_EVERY_S` | `60.0` | How often"
    assert row in page


async def test_a_column_stands_in_its_table(tree: Tree, log: EventLog) -> None:
    tree.apply("Add a column")
    await log.append(created())
    await log.server.client.call("XGROUP", "CREATE", log.keys.events(0), "late", "0")
    heading, row = tree.routestream("groups", "ls").splitlines()
    assert heading.split()[:7] == [
        *("GROUP", "PARTITION", "CONSUMERS", "ACTIVE", "PENDING", "LAG", "BACKLOG")
    ]
    assert row.split()[:7] == ["late", "0", "0", "0", "0", "1", "1"]
