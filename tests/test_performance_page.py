"""The page that says how fast it is: made from the kept run, with each goal beside its figure."""

import re
from pathlib import Path

from msgspec.structs import replace

from benchmarks.cases import FULL, Case, cases
from benchmarks.report.goals import GOALS, Goal
from benchmarks.report.page import BEGIN, END, PAGE, page
from benchmarks.report.run import read_run

ROOT = Path(__file__).parents[1]
PEERS = ROOT / "benchmarks" / "peers"


def test_the_page_shows_the_run_that_is_kept() -> None:
    assert page(PAGE.read_text(), read_run()) == PAGE.read_text()


def test_a_new_run_leaves_what_a_person_wrote() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nmiddle\n{BEGIN}\n{END}\n{BEGIN}\n{END}\nafter"
    made = page(text, read_run())
    assert made.startswith("before\n")
    assert made.endswith("\nafter")
    assert "\nmiddle\n" in made
    assert "\nold\n" not in made


def test_every_goal_names_a_side_of_a_case() -> None:
    made = cases(FULL, ROOT, with_peers=True)
    sides = {case.name: set(case.sides) for case in made if isinstance(case, Case)}
    named = [
        (goal.case, side)
        for goal in GOALS
        for side in (goal.side, goal.beside)
        if side is not None and goal.case in sides
    ]
    assert named
    assert [(case, side) for case, side in named if side not in sides[case]] == []
    assert {goal.case for goal in GOALS} <= {case.name for case in made}


def test_a_goal_that_is_missed_says_by_how_much() -> None:
    run = replace(
        read_run(),
        cases={"c": {"routestream": {"ms": [4.0, 6.0]}, "plain": {"ms": [2.0, 2.0]}}},
    )
    asked = Goal("row", "c", "ms", 2.0, "at most", beside="plain")
    assert asked.reached(run) == [2.0, 3.0]
    assert asked.missed_by(2.5) == 0.25
    assert asked.missed_by(1.5) == 0
    assert replace(asked, kind="at least").missed_by(1.5) == 0.25


def test_a_ratio_of_rates_is_told_by_cpu_time_too() -> None:
    ours = {"per_second": [10.0], "client_us": [3.0], "server_us": [1.0]}
    plain = {"per_second": [5.0], "client_us": [5.0], "server_us": [3.0]}
    run = replace(read_run(), cases={"c": {"routestream": ours, "plain": plain}})
    asked = Goal("row", "c", "per_second", 2.0, "at least", beside="plain")
    assert asked.by_cpu(run) == [2.0]
    assert replace(asked, beside=None).by_cpu(run) == []


def test_the_peers_are_pinned_with_hashes_and_name_no_index() -> None:
    lock = (PEERS / "requirements.lock").read_text()
    wanted = re.findall(r"^[a-z-]+", (PEERS / "requirements.in").read_text(), re.MULTILINE)
    pinned = re.findall(r"^([a-z0-9._-]+)==\S+ \\\n    --hash=sha256:", lock, re.MULTILINE)
    assert set(wanted) <= set(pinned)
    assert "://" not in lock
    assert "--index" not in lock
