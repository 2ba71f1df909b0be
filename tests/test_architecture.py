"""What keeps the code readable, checked: sizes, names, layers, and what may stand only once."""

import ast
import importlib
import importlib.metadata
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("events", "projections", "producers", "consumers")

MODULE_LINES_MAX = 300
TEST_MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 40
POSITIONAL_MAX = 5
FOLDER_MODULES_MAX = 15
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "base", "manager", "managers"}

# Words that say nothing of what a name stands for; the design's words or the field's do.
RIDDLES = {"be_heard_of", "beside", "chunk", "form", "held", "heard", "holding", "look", "mend"}
RIDDLES |= {"pane", "patience", "patiently", "picture", "plan", "questions", "sample", "sheet"}
RIDDLES |= {"sheets", "talk", "told", "waking", "window", "wish"}

Function = ast.FunctionDef | ast.AsyncFunctionDef

Violations = dict[str, object]
"""What breaks a rule, by the file that it stands in: a test shows all of them at once."""


def modules(*folders: str) -> list[Path]:
    return sorted(
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if "__pycache__" not in path.parts
    )


OURS = modules(*PACKAGES)
TESTS = modules("tests")
PARTS = sorted((ROOT / "events" / "server" / "lua" / "parts").glob("*.lua"))
SCRIPTS = sorted(
    path for package in PACKAGES for path in (ROOT / package).rglob("*.lua") if path not in PARTS
)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


def functions(path: Path) -> Iterator[Function]:
    return (node for node in nodes(path) if isinstance(node, Function))


def classes(path: Path) -> Iterator[ast.ClassDef]:
    return (node for node in nodes(path) if isinstance(node, ast.ClassDef))


def violations(paths: Iterable[Path], found_in: Callable[[Path], object]) -> Violations:
    """Return what *found_in* finds in each of *paths*, where it finds anything."""
    found = {name_of(path): found_in(path) for path in paths}
    return {name: one for name, one in found.items() if one}


def body_lines(function: Function) -> int:
    """Count the lines of a body, without its docstring."""
    first = function.body[0]
    is_docstring = (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )
    begin = function.body[1] if is_docstring and len(function.body) > 1 else first
    return (function.end_lineno or 0) - begin.lineno + 1


def positional(function: Function) -> list[str]:
    arguments = function.args
    names = [one.arg for one in (*arguments.posonlyargs, *arguments.args)]
    return [name for name in names if name not in {"self", "cls"}]


def test_there_is_something_to_check() -> None:
    assert len(OURS) > 50
    assert len(TESTS) > 20
    assert len(SCRIPTS) >= 6


def longer_than(most: int) -> Callable[[Path], object]:
    def lines_over(path: Path) -> int:
        lines = len(path.read_text().splitlines())
        return lines if lines > most else 0

    return lines_over


def test_a_module_fits_in_a_head() -> None:
    assert violations(OURS, longer_than(MODULE_LINES_MAX)) == {}


def test_a_test_module_is_read_in_one_sitting() -> None:
    assert violations(TESTS, longer_than(TEST_MODULE_LINES_MAX)) == {}


def test_a_folder_shows_all_its_modules_at_a_glance() -> None:
    counted = Counter(path.parent for path in OURS if path.stem != "__init__")
    assert {name_of(path): n for path, n in counted.items() if n > FOLDER_MODULES_MAX} == {}


def test_a_function_fits_on_a_screen() -> None:
    def long_functions(path: Path) -> object:
        counted = {one.name: body_lines(one) for one in functions(path)}
        return {name: lines for name, lines in counted.items() if lines > FUNCTION_LINES_MAX}

    assert violations(OURS, long_functions) == {}


def test_a_call_can_be_read_without_counting_arguments() -> None:
    def many_arguments(path: Path) -> object:
        return [one.name for one in functions(path) if len(positional(one)) > POSITIONAL_MAX]

    assert violations(OURS, many_arguments) == {}


def test_a_file_is_named_after_what_it_is_about() -> None:
    def forbidden(path: Path) -> object:
        words = set(path.stem.split("_")) | set(path.parent.relative_to(ROOT).parts)
        return words & FORBIDDEN_NAMES

    assert violations([*OURS, *TESTS, *SCRIPTS], forbidden) == {}


def test_no_module_or_class_is_named_by_a_riddle() -> None:
    def riddles(path: Path) -> object:
        named = [path.stem, *(one.name for one in classes(path))]
        return {name for name in named if name.lower().strip("_") in RIDDLES}

    assert violations(OURS, riddles) == {}


def test_no_two_classes_have_one_name() -> None:
    counted = Counter(one.name for path in OURS for one in classes(path))
    assert [name for name, times in counted.items() if times > 1] == []


def test_what_tests_stand_on_is_told_apart_from_tests() -> None:
    """A module under `tests` is a test, or support of its room; the soak is a program."""
    others = [
        name_of(path)
        for path in TESTS
        if not path.name.startswith("test_")
        and path.stem != "conftest"
        and path.parent.name not in {"support", "soak", "cluster_demo"}
    ]
    assert others == []


def test_only_scripts_acknowledge_and_keep_the_position_in_that_step() -> None:
    acknowledging = [name_of(p) for p in OURS if re.search(r"\bxack\b", code_of(p), re.IGNORECASE)]
    assert acknowledging == []


def test_a_script_that_acknowledges_forgets_the_error_in_the_same_step() -> None:
    acknowledging = [path for path in SCRIPTS if "redis.call('XACK'" in path.read_text()]
    assert [name_of(path) for path in acknowledging] == [
        "consumers/handlers/lua/owned_dead_letter.lua",
        "consumers/handlers/lua/owned_round.lua",
        "consumers/runtime/lua/acknowledge.lua",
        "consumers/runtime/lua/dead_letter.lua",
        "projections/read_model/lua/apply.lua",
    ]
    forgetting = re.compile(r"KEYS\[(\d)\]  hash[^\n]*:errors:GROUP.*'HDEL', KEYS\[\1\]", re.DOTALL)
    assert [one for one in acknowledging if not forgetting.search(one.read_text())] == []


def test_redis_py_is_asked_in_one_place_and_its_replies_have_a_type() -> None:
    untyped = re.compile(r"(?<!pipeline)\.execute_command\(")
    asking = {name_of(path) for path in OURS if untyped.search(code_of(path))}
    assert asking == {"events/server/client.py"}


def test_xinfo_and_xpending_are_asked_by_one_reader_each() -> None:
    asking = re.compile(r"(ask|call)\('(XINFO|XPENDING)")
    found = {path: asking.findall(code_of(path)) for path in OURS}
    assert {
        name_of(path): [command for _, command in one] for path, one in found.items() if one
    } == {
        "events/streams/stream_group.py": ["XINFO", "XINFO", "XPENDING"],
        "events/streams/stream_state.py": ["XINFO"],
    }


def test_the_outcome_is_matched_once() -> None:
    matching = [name_of(path) for path in OURS if "match outcome" in path.read_text()]
    assert matching == ["consumers/runtime/settlement.py"]


@cache
def code_of(path: Path) -> str:
    """Return a module's code without its comments and docstrings."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = ""
    return ast.unparse(tree)


def test_no_task_runs_outside_a_task_group() -> None:
    def loose_tasks(path: Path) -> object:
        called = [node.func for node in nodes(path) if isinstance(node, ast.Call)]
        named = {getattr(one, "attr", getattr(one, "id", "")) for one in called}
        return named & {"create_task", "ensure_future"}

    assert violations([*OURS, *TESTS], loose_tasks) == {}


def test_imports_point_left() -> None:
    lint = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    checked = subprocess.run(lint, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_a_scripts_header_says_what_goes_in_and_what_comes_out(path: Path) -> None:
    lines = path.read_text().splitlines()
    header = [line for line in lines[: lines.index("")] if line.startswith("--")]
    code = "\n".join(lines[len(header) :])
    assert len(header[0]) > len("-- What it does.")
    named = "\n".join(header)
    for kind in ("KEYS", "ARGV"):
        used = {int(number) for number in re.findall(rf"{kind}\[(\d+)\]", code)}
        told = {int(number) for number in re.findall(rf"{kind}\[(\d+)\]", named)}
        assert told, f"no {kind} in the header"
        assert used <= told | {max(told) + 1}, f"{kind} that the header does not name"
    assert re.search(r"^-- Reply +\S", named, re.MULTILINE)


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_a_script_is_called_from_one_place_beside_it(path: Path) -> None:
    package = ".".join(path.parent.parent.relative_to(ROOT).parts)
    call = f'.script("{package}", "{path.stem}")'
    callers = [one for one in OURS if call in one.read_text()]
    assert [caller.parent for caller in callers] == [path.parent.parent]


@pytest.mark.parametrize("path", PARTS, ids=name_of)
def test_a_part_is_there_for_several_scripts(path: Path) -> None:
    including = [one for one in SCRIPTS if f"\n-- include {path.stem}\n" in one.read_text()]
    assert len(including) > 1


@pytest.mark.parametrize("package", PACKAGES)
def test_the_four_names_import_from_our_distribution(package: str) -> None:
    module = importlib.import_module(package)

    assert module.__file__ is not None
    assert Path(module.__file__) == ROOT / package / "__init__.py"
    assert importlib.metadata.distribution("routestream").metadata["Name"] == "routestream"
    owners = importlib.metadata.packages_distributions().get(package, ["routestream"])
    assert set(owners) == {"routestream"}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_without_a_server_and_without_an_environment(package: str) -> None:
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in modules(package)
        if path.stem != "__main__"
    ]
    program = "import " + ", ".join(name.removesuffix(".__init__") for name in names)
    command = [sys.executable, "-P", "-c", program]
    done = subprocess.run(command, env={}, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_the_libraries_load_nothing_that_a_terminal_needs() -> None:
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in modules("events", "projections", "producers")
    ]
    for_a_person = ("click", "rich", "textual", "structlog")
    program = f"import sys, {', '.join(names)}\nprint(*sys.modules.keys() & {for_a_person})"
    command = [sys.executable, "-P", "-c", program]
    done = subprocess.run(command, env={}, cwd="/", capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
