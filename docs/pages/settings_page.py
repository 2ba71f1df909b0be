"""Writes the settings page, `docs/settings.md`, from defaults and docstrings of the settings."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from consumers.settings import PREFIX, Settings
from events.server.url_options import UrlOptions

_HEAD = """\
# Settings

Everything has a default. A YAML file (`--config`, or `ROUTESTREAM_CONFIG`) changes it, the
environment overrides the file, and the command line overrides the environment. `REDIS_URL` names
the server where the file does not. In a variable, a list has commas between its values. What is
not known, or not allowed, is refused with its name and its place, variables that begin with
`ROUTESTREAM_` too. `routestream config show` prints the settings in force, and where each comes
from.

The file is YAML 1.2: true and false are written so, and `yes`, `on` or `010` mean no more than
they say.

```yaml
namespace: routestream
consumer:
  claim_idle_ms: 5000
  policy:
    tries_max: 5
```

Logs go to standard error: readable on a terminal, JSON elsewhere.

This page is made by `python -m docs.pages.settings_page > docs/settings.md`.
"""
_URL_HEAD = """\
## Options of the server's URL

The query of `server.url` and `REDIS_URL`, as in `rediss://:PASSWORD@HOST:6379/0?client_name=proxy`,
may hold these and no others, each once. Times are in seconds. In a password, and in an option, the
characters `/ ? # @ %` are written `%2F %3F %23 %40 %25`.
"""
_ATTRIBUTES = "Attributes:\n"
_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n {5,}.*)*)", re.MULTILINE)


def settings_page() -> str:
    """Return the page.

    Raises:
        LookupError: The docstring of a settings class does not describe one of its settings.
    """
    return "\n".join([_HEAD, *_section("", Settings()), *_url_options()])


def _url_options() -> Iterator[str]:
    """Yield the table of what the query of the server's URL may set."""
    abouts = _abouts(UrlOptions)
    yield _URL_HEAD
    yield "| option | what it means |\n|---|---|"
    for field in msgspec.structs.fields(UrlOptions):
        yield f"| `{field.name}` | {abouts[field.name]} |"
    yield ""


def _section(prefix: str, part: msgspec.Struct) -> Iterator[str]:
    """Yield the table of a part of the settings, then the parts within it."""
    parts: list[tuple[str, msgspec.Struct]] = []
    kind = type(part)
    abouts = _abouts(kind)
    if prefix:
        yield f"## {prefix.rstrip('.')}\n\n{(inspect.getdoc(kind) or '').splitlines()[0]}\n"
    yield "| setting | environment | default | what it means |\n|---|---|---|---|"
    for field in msgspec.structs.fields(kind):
        name, default = prefix + field.name, getattr(part, field.name)
        if isinstance(default, msgspec.Struct):
            parts.append((f"{name}.", default))
            continue
        if field.name not in abouts:
            raise LookupError(f"the docstring of {kind.__name__} does not say what {name} means")
        variable = f"`{PREFIX}{name.replace('.', '_').upper()}`"
        yield f"| `{name}` | {variable} | {_shown(default)} | {abouts[field.name]} |"
    yield ""
    for inner, within in parts:
        yield from _section(inner, within)


def _abouts(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Return the description of each attribute, from the class or the classes it extends."""
    found: dict[str, str] = {}
    for ancestor in reversed(kind.__mro__):
        attributes = inspect.cleandoc(ancestor.__doc__ or "").partition(_ATTRIBUTES)[2]
        found |= {name: " ".join(text.split()) for name, text in _ATTRIBUTE.findall(attributes)}
    return found


def _shown(default: Any) -> str:  # noqa: ANN401 - a setting may have any type
    if default is None or default in {"", ()}:
        return "none"
    if isinstance(default, tuple):
        return ", ".join(f"`{one}`" for one in default)
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


if __name__ == "__main__":
    click.echo(settings_page(), nl=False)
