"""Prints the completion scripts of shells, and attaches completions to parameters."""

from importlib import import_module

import click
from click.shell_completion import CompletionItem, get_completion_class

from consumers.cli.command_tree import COMPLETE_VARIABLE

SHELLS = ("bash", "zsh", "fish")
COMMAND = "routestream"

_OPTION_OF_WORD = 'set -l option (string match -r "^--[^=]+=" -- (commandline -t));'
_MENDED = {
    "zsh": [
        ("    for type key", "    [[ $PREFIX == --*=* ]] && compset -P 1 '*='\n    for type key"),
        (" -U", ' -U -i "$IPREFIX"'),
    ],
    "fish": [
        ("    for completion in", f"    {_OPTION_OF_WORD}\n\n    for completion in"),
        ('string split ","', 'string split -m 1 ","'),
        ("echo $metadata[2]", 'echo "$option$metadata[2]"'),
    ],
}
"""Corrections of click's scripts: `--option=value` is one word, and a help may have commas."""

_ANSWERS = "consumers.cli.completion_answers"
_BY_NAME = {
    "group": "groups",
    "groups": "groups",
    "names": "types",
    "endpoint": "endpoints",
    "runtime_variant": "variants",
    "model_source": "paths",
    "model_folder": "paths",
}
"""The function of `completion_answers` for each name of a parameter."""


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script that lets a shell complete commands, options, groups and endpoints.

    bash reads it from ~/.local/share/bash-completion/completions/routestream, zsh from a file
    _routestream in a folder of $fpath, fish from ~/.config/fish/completions/routestream.fish.

    \b
    Example: routestream completion bash
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"shell {shell!r} is not one of {', '.join(SHELLS)}")
    shown = kind(click.get_current_context().find_root().command, {}, COMMAND, COMPLETE_VARIABLE)
    script = shown.source_template
    for theirs, ours in _MENDED.get(shell, ()):
        script = script.replace(theirs, ours)
    click.echo(script % shown.source_vars())


def complete_by_name(command: click.Command) -> None:
    """Attach completions to the arguments and options of *command*, by their names."""
    for parameter in command.params:
        answer = _BY_NAME.get(parameter.name or "")
        if answer is not None and not isinstance(parameter.type, click.Choice):
            _attach(parameter, answer)


def _attach(parameter: click.Parameter, answer: str) -> None:
    def shell_complete(context: click.Context, incomplete: str) -> list[CompletionItem]:
        # Imported only when a completion is asked for: the module imports much.
        offered: list[CompletionItem] = getattr(import_module(_ANSWERS), answer)(
            context, parameter, incomplete
        )
        return offered

    parameter.shell_complete = shell_complete  # type: ignore[method-assign,assignment]
