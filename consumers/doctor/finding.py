"""Defines a finding of the doctor: one thing that was checked, and its state."""

from collections.abc import Iterable
from typing import Literal

import msgspec

Severity = Literal["ok", "warning", "error"]

_RANKS: dict[Severity, int] = {"ok": 0, "warning": 1, "error": 2}
_SIZE_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")


class Finding(msgspec.Struct, frozen=True):
    """One finding.

    Attributes:
        severity: Error: events or read models are lost, wrong or stuck, or will be at the next
            failure. Warning: that may happen. Ok: it was checked, and is as it should be.
        about: What was checked; the same words in each run.
        what: What was found, in a sentence.
        figure: The number or the setting that says so.
        to_do: What to do, a command if there is one; "" if nothing is to be done.
    """

    severity: Severity
    about: str
    what: str
    figure: str = ""
    to_do: str = ""


def ok(about: str, what: str, figure: object = "") -> Finding:
    """Return a finding of something that is as it should be."""
    return Finding("ok", about, what, str(figure))


def warning(about: str, what: str, figure: object = "", *, to_do: str) -> Finding:
    """Return a finding that may become an error."""
    return Finding("warning", about, what, str(figure), to_do)


def error(about: str, what: str, figure: object = "", *, to_do: str) -> Finding:
    """Return a finding that needs somebody now."""
    return Finding("error", about, what, str(figure), to_do)


def worst_of(findings: Iterable[Finding]) -> Severity:
    """Return the severity of the worst finding, ok if there are none."""
    return max((finding.severity for finding in findings), key=_RANKS.__getitem__, default="ok")


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return errors, then warnings, then the others, each in the order given."""
    return sorted(findings, key=lambda finding: -_RANKS[finding.severity])


def counted(count: int, what: str) -> str:
    """Return `1 entry`, `2 entries`: *count*, and *what* in the plural unless that is 1."""
    if count == 1:
        return f"{count} {what}"
    plural = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
    return f"{count} {plural}"


def size_in_words(size_bytes: int) -> str:
    """Return `90 bytes`, `1.2 MB`: a size in the largest decimal unit that it fills."""
    if size_bytes < 1_000:
        return counted(size_bytes, "byte")
    power = min((len(str(size_bytes)) - 1) // 3, len(_SIZE_UNITS))
    return f"{size_bytes / 1_000**power:,.1f} {_SIZE_UNITS[power - 1]}"
