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
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    """Return an escape; for what stands for a byte that is no UTF-8, the byte's own."""
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


EXIT_FAILED = 1


EXIT_USAGE = 2


EXIT_NOT_FOUND = 3


EXIT_NO_CONNECTION = 4


EXIT_INTERRUPTED = 130


EXIT_CLOSED_PIPE = 141
"""The exit code that a shell gives a program that SIGPIPE ended."""
