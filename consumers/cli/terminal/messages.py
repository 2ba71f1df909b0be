"""Messages for people, on standard error, beside a command's data."""

import click


def say(text: object) -> None:
    """Print *text* on one line of standard error, with control characters escaped."""
    click.echo(printable(str(text)), err=True)


def say_note(what: object) -> None:
    """Print a note about the output, such as a gap in it."""
    say(f"note: {what}")


def printable(text: str) -> str:
    """Escape characters that would break the line or control the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


EXIT_FAILED = 1


EXIT_USAGE = 2


EXIT_NOT_FOUND = 3


EXIT_NO_CONNECTION = 4


EXIT_INTERRUPTED = 130


EXIT_CLOSED_PIPE = 141
"""The exit code that a shell gives a program that SIGPIPE ended."""
