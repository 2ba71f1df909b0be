"""The page of the settings: every one, with its name, its variable, its default and its meaning."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from consumers.settings import read_settings
from docs.pages.settings_page import settings_page


class Environment(Mapping[str, str]):
    """An environment in which nothing is set, which keeps what it was asked for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def test_the_page_of_the_settings_is_up_to_date() -> None:
    page = Path(__file__).parents[2] / "docs" / "settings.md"
    assert page.read_text() == settings_page(), "python -m docs.pages.settings_page"


def test_the_page_tells_every_variable_that_is_read() -> None:
    environment = Environment()
    read_settings(None, environment)
    told = re.findall(r"^\| `[\w.]+` \| `(\w+)` \| ", settings_page(), re.MULTILINE)
    assert len(told) > 40
    assert {*told, "REDIS_URL"} == environment.asked
