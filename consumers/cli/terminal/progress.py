"""Prints the progress of a long command on standard error."""

import sys
import time

import click

from consumers.cli.terminal.messages import printable

_EVERY_S = 0.5
_EVERY_APART_S = 10.0


class ProgressLine:
    """Prints at intervals how many entries are done, at which rate, and the present position.

    A terminal has one line that is overwritten; a file or a pipe gets a line every 10 s.
    """

    def __init__(self, what: str, total: int | None = None) -> None:
        self._what = what
        self._total = total
        self._is_terminal = sys.stderr.isatty()
        self._began_at = time.monotonic()
        self._told_at = self._began_at
        self.count = 0

    def add(self, count: int, where: object = "") -> None:
        """Add *count* entries, and print the line if it is due."""
        self.count += count
        now = time.monotonic()
        if now - self._told_at >= (_EVERY_S if self._is_terminal else _EVERY_APART_S):
            self._told_at = now
            if self._is_terminal:
                click.echo(f"\r{self._line(where)}\x1b[K", err=True, nl=False)
            else:
                click.echo(self._line(where), err=True)

    def end(self, where: object = "") -> None:
        """Print the final line."""
        start = "\r" if self._is_terminal else ""
        clear = "\x1b[K" if self._is_terminal else ""
        click.echo(f"{start}{self._line(where)}{clear}", err=True)

    @property
    def per_s(self) -> float:
        """The mean number of entries a second."""
        return self.count / max(0.001, time.monotonic() - self._began_at)

    def _line(self, where: object) -> str:
        share = ""
        if self._total:
            share = f" of {self._total:,} ({100 * self.count / self._total:.0f}%)"
        at = f", at {where}" if where else ""
        return printable(f"{self._what} {self.count:,}{share} entries, {self.per_s:,.0f}/s{at}")
