"""The progress: how far a long command has come, told on standard error."""

import sys
import time

import click

from consumers.cli.terminal.messages import printable

_EVERY_S = 0.5
_EVERY_APART_S = 10.0


class ProgressLine:
    """Tells now and then how many there are, how fast, and where.

    On a terminal one line is written again and again; into a file or a pipe a line every 10 s.
    """

    def __init__(self, what: str, total: int | None = None) -> None:
        self._what = what
        self._total = total
        self._is_terminal = sys.stderr.isatty()
        self._began_at = time.monotonic()
        self._told_at = self._began_at
        self.count = 0

    def add(self, count: int, where: object = "") -> None:
        """Count *count* more, and tell if it is time."""
        self.count += count
        now = time.monotonic()
        if now - self._told_at >= (_EVERY_S if self._is_terminal else _EVERY_APART_S):
            self._told_at = now
            if self._is_terminal:
                click.echo(f"\r{self._line(where)}\x1b[K", err=True, nl=False)
            else:
                click.echo(self._line(where), err=True)

    def end(self, where: object = "") -> None:
        """Tell how it ended."""
        start = "\r" if self._is_terminal else ""
        rest = "\x1b[K" if self._is_terminal else ""
        click.echo(f"{start}{self._line(where)}{rest}", err=True)

    @property
    def per_s(self) -> float:
        """How many there were in a second, on average."""
        return self.count / max(0.001, time.monotonic() - self._began_at)

    def _line(self, where: object) -> str:
        of = ""
        if self._total:
            of = f" of {self._total:,} ({100 * self.count / self._total:.0f}%)"
        at = f", at {where}" if where else ""
        return printable(f"{self._what} {self.count:,}{of} entries, {self.per_s:,.0f}/s{at}")
