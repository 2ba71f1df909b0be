"""A click group that imports each command only when it is used."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from consumers.cli.terminal.messages import printable

Prepare = Callable[[click.Command], None]
"""Changes a command when it is imported, before it is used."""

_SENTENCE_MAX = 1_000
"""Characters of a sentence in a list; so many that it is wrapped, never cut off."""


class CommandReference(NamedTuple):
    """Where a command is defined, as `module:name`, and the first sentence of its help."""

    written: str
    sentence: str


class CommandGroup(click.Group):
    """A group that knows where its commands are defined, and lists them in sections.

    Attributes:
        places: The reference of each command by its path below this group, such as `events tail`:
            running one command or listing all does not import the other commands.
        sections: The commands that the help lists under each title, in this order; commands of no
            section come last.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - click's
        places: Mapping[str, CommandReference] | None = None,
        sections: Mapping[str, Sequence[str]] | None = None,
        **kwargs: Any,  # noqa: ANN401 - click's
    ) -> None:
        super().__init__(*args, **kwargs)
        self.places = dict(places or {})
        self.sections = dict(sections or {})
        self._prepare: Prepare | None = None

    def prepare(self, prepare: Prepare) -> None:
        """Call *prepare* with every command below this group, when it is imported."""
        self._prepare = prepare
        for command in self.commands.values():
            self._prepared(command)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse arguments that are no UTF-8: neither Redis nor JSON could be given them."""
        if ctx.parent is None:
            for argument in args:
                refuse_no_text(argument)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, imported or not, in alphabetical order."""
        return sorted({*super().list_commands(ctx), *(path.split()[0] for path in self.places)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, and import it if necessary; None: there is none of that name."""
        if cmd_name not in self.commands and cmd_name in self.places:
            self.add_command(self._import(cmd_name), cmd_name)
        return super().get_command(ctx, cmd_name)

    def _import(self, name: str) -> click.Command:
        module, _, attribute = self.places[name].written.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        if isinstance(command, CommandGroup):
            start = f"{name} "
            command.places |= {
                path.removeprefix(start): place
                for path, place in self.places.items()
                if path.startswith(start)
            }
        return self._prepared(command)

    def _prepared(self, command: click.Command) -> click.Command:
        if self._prepare is not None:
            self._prepare(command)
            if isinstance(command, CommandGroup):
                command.prepare(self._prepare)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their first sentences, section by section."""
        left = self.list_commands(ctx)
        listed = {title: [n for n in names if n in left] for title, names in self.sections.items()}
        others = [name for name in left if all(name not in names for names in listed.values())]
        for title, names in (*listed.items(), ("Commands", others)):
            rows = [(name, self._sentence(name)) for name in names]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer the commands that begin with *incomplete*, and the options of the group itself."""
        names = (name for name in self.list_commands(ctx) if name.startswith(incomplete))
        offered = [CompletionItem(name, help=self._sentence(name)) for name in names]
        return [*offered, *click.Command.shell_complete(self, ctx, incomplete)]

    def _sentence(self, name: str) -> str:
        if name in self.places:
            return self.places[name].sentence
        return self.commands[name].get_short_help_str(_SENTENCE_MAX)


def refuse_no_text(argument: str) -> None:
    """Raise click.UsageError for an argument that is no UTF-8."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        raise click.UsageError(
            f"argument '{printable(argument)}' is no UTF-8; in a stream's key \\xff stands for a"
            " byte ff"
        ) from None


def commands_of(group: click.Group) -> dict[str, click.Command]:
    """Import all commands of *group*, and return them by name."""
    context = click.Context(group)
    found = {name: group.get_command(context, name) for name in group.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}
