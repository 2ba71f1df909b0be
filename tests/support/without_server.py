"""`pytest --without-server`: only the tests that start no server and no other process.

A test is left out if the code of the test, of its fixtures, or of the support that they call names
something that starts a process; or if it is marked with `processes`, where the code does not show
it. Nothing is taken on trust: a test that runs and starts a process nevertheless fails. Laws are
tried on fewer examples than in the whole run.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest
from hypothesis import settings

from tests.support.laws import QUICK

STARTING = {"open_process", "run_process", "testcontainers"}
"""Names of what starts a process, besides the modules below."""
STARTING_MODULES = ("subprocess", "pty", "consumers.processes")
STARTED = {"subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}
"""What an audit hook hears before a process starts (PEP 578)."""


def pytest_addoption(parser: pytest.Parser) -> None:
    words = "run only the tests that start no server and no other process"
    parser.addoption("--without-server", action="store_true", help=words)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--without-server"):
        settings.load_profile(QUICK)
        config.pluginmanager.register(Guard())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--without-server"):
        return
    left_out = [item for item in items if starts_processes(item)]
    config.hook.pytest_deselected(items=left_out)
    kept = set(items) - set(left_out)
    items[:] = [item for item in items if item in kept]


def starts_processes(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function) or item.get_closest_marker("processes") is not None:
        return True
    fixtures = item._fixtureinfo.name2fixturedefs.values()
    functions = [item.function, *(one.func for found in fixtures for one in found)]
    return any(starts(function) for function in functions)


def starts(function: Callable[..., Any]) -> bool:
    """Tell whether something that starts a process is named where *function* leads in the tests."""
    test = getattr(function, "hypothesis", None)
    return _leads_to_a_start(inspect.unwrap(test.inner_test if test else function))


@functools.cache
def _leads_to_a_start(named: object) -> bool:
    ours = ("tests.", str(getattr(named, "__module__", "tests.")))
    seen: set[int] = set()
    left = [named]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if _is_a_start(one):
            return True
        if str(getattr(one, "__module__", "")).startswith(ours):
            left += _named_in(one)
    return False


def _is_a_start(one: object) -> bool:
    name = one.__name__ if isinstance(one, ModuleType) else getattr(one, "__module__", None)
    return str(name).startswith(STARTING_MODULES) or (isinstance(one, str) and one in STARTING)


def _named_in(one: object) -> list[object]:
    if isinstance(one, type):
        return [inspect.unwrap(each) for each in vars(one).values() if inspect.isfunction(each)]
    function = inspect.unwrap(one) if callable(one) else one
    if not isinstance(function, FunctionType):
        return []
    names = _names(function.__code__)
    return [*names, *(function.__globals__[name] for name in names if name in function.__globals__)]


def _names(code: CodeType) -> set[str]:
    inner = [_names(each) for each in code.co_consts if isinstance(each, CodeType)]
    return {*code.co_names}.union(*inner)


class Guard:
    """Fails the test that starts a process, by itself or by a fixture."""

    def __init__(self) -> None:
        self._is_on = False
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._is_on and event in STARTED:
            pytest.fail(f"starts a process: {event} {arguments[:2]}; mark it with `processes`")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Iterator[None]:
        self._is_on = True
        try:
            return (yield)
        finally:
            self._is_on = False
