"""A process may open as many files as its settings allow for, within the administrator's limit."""

import resource
from collections.abc import Iterator

import pytest

from consumers.processes.open_files import OTHERS, allow_open_files
from tests.support.log_lines import captured_lines


@pytest.fixture
def hard() -> Iterator[int]:
    """Return the administrator's limit; the process's own is 500 for the time of the test."""
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (500, most))
    yield most
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))


def allowed() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_a_limit_that_is_too_low_is_raised_to_what_is_needed(hard: int) -> None:
    assert hard > 500 + OTHERS
    allow_open_files(500)
    assert allowed() == 500 + OTHERS


@pytest.mark.usefixtures("hard")
def test_a_limit_that_is_high_enough_stays() -> None:
    allow_open_files(1)
    assert allowed() == 500


def test_more_than_the_administrator_allows_is_said(hard: int) -> None:
    with captured_lines() as lines:
        allow_open_files(hard)
    assert allowed() == hard
    assert [line["event"] for line in lines] == ["open_files_limited"]
