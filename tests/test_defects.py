"""Each test that the page of Backend.AI's defects names is there, and each defect has one."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "backend-ai-defects.md").read_text()
ABSENT, _, NOT_DONE = PAGE.partition("## What ours does not do")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::([\w:]+)`", PAGE)


@cache
def names_in(module: str) -> set[str]:
    """Return the tests of a module, those of a class after its name."""
    tree = ast.parse((ROOT / module).read_text())
    places = [("", tree.body)]
    places += [(f"{one.name}::", one.body) for one in tree.body if isinstance(one, ast.ClassDef)]
    return {
        f"{prefix}{one.name}"
        for prefix, body in places
        for one in body
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name.startswith("test_")
    }


def rows(text: str) -> list[list[str]]:
    """Return the cells of each row of the tables, without heads and rules."""
    found = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [cells for cells in found if cells[0] != "reference"]


def test_every_test_that_is_named_is_there() -> None:
    assert len(NAMED) > 80
    lost = [
        f"{module}::{test}"
        for module, test in NAMED
        if not (ROOT / module).is_file() or test not in names_in(module)
    ]
    assert lost == []


def test_every_defect_that_ours_cannot_have_names_a_test() -> None:
    defects = rows(ABSENT)
    assert len(defects) > 60
    assert [cells[0] for cells in defects if len(cells) != 4 or "::test_" not in cells[3]] == []
    assert all(len(cells) == 3 for cells in rows(NOT_DONE))


def test_each_issue_is_told_of_once() -> None:
    issues = re.findall(r"BA-\d+|#\d+", " ".join(cells[0] for cells in rows(PAGE)))
    assert sorted(issues) == sorted(set(issues))
