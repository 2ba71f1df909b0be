"""Messages for people, on standard error, beside a command's data."""

import click


def say(text: object) -> None:
    """Say it on one line; what would steer the terminal is escaped, for others wrote it."""
    click.echo(printable(str(text)), err=True)


def say_note(what: object) -> None:
    """Say what a person has to know of what is shown, such as a gap in it."""
    say(f"note: {what}")


def printable(text: str) -> str:
    """Escape what would break a line or steer the terminal: others wrote it."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


EXIT_FAILED = 1


EXIT_USAGE = 2


EXIT_NOT_FOUND = 3


EXIT_NO_CONNECTION = 4


EXIT_INTERRUPTED = 130


EXIT_CLOSED_PIPE = 141
"""What a shell says of a program that SIGPIPE ended."""
