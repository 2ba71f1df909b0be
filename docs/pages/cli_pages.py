"""Writes the reference of the command line, `docs/cli.md`, from the help of each command.

`python -m docs.pages.cli_pages docs/cli.md` writes them; without a file they go to standard output.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from consumers.cli.command_tree import routestream
from consumers.cli.terminal.command_group import commands_of

_WIDTH = 100
_HEAD = """\
# The command line

Written from the commands' own help by `make docs`; change it there. Every reading command takes
`--watch`, and prints `-o table|wide|json|jsonl|csv`; the fields of JSON and CSV are in
[json.md](json.md). Positions are `start`, `end`, an entry id, a time, or a span such as `-2h`; a
range is two of them with `..` between. A time is read as RFC 3339 writes it, and as commands print
it. ENDPOINT is an endpoint's name, its id, or the beginning of it. Exit codes: 0 done, 1 failed or
differs, 2 usage, 3 not found, 4 no connection, 130 interrupted, 141 nobody reads the output any
more.
"""


def root_context() -> click.Context:
    """Return the click context of the root command, the parent of all others."""
    return click.Context(routestream, info_name="routestream", **routestream.context_settings)


def walk(
    command: click.Command, context: click.Context
) -> Iterator[tuple[click.Command, click.Context]]:
    """Yield *command* and all visible commands below it, sorted by name."""
    yield command, context
    if not isinstance(command, click.Group):
        return
    for name, child in sorted(commands_of(command).items()):
        if not child.hidden:
            yield from walk(child, click.Context(child, info_name=name, parent=context))


def pages() -> str:
    """Return the whole document; it depends only on the commands."""
    parts = [_HEAD]
    for command, context in walk(routestream, root_context()):
        context.terminal_width = context.max_content_width = _WIDTH
        level = "#" * min(4, context.command_path.count(" ") + 2)
        parts.append(f"{level} {context.command_path}\n\n```\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def main(arguments: list[str]) -> None:
    """Write the pages to the file named in *arguments*, or to standard output."""
    if arguments:
        Path(arguments[0]).write_text(pages(), "utf-8")
    else:
        sys.stdout.write(pages())


if __name__ == "__main__":
    main(sys.argv[1:])
