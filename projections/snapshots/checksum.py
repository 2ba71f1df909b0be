"""The SHA-256 of a file, read in parts."""

from hashlib import sha256
from pathlib import Path
from typing import Any

_READ_BYTES = 1_048_576


def checksum_at(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return checksum_of(file)


def checksum_of(reader: Any) -> str:  # noqa: ANN401 - a binary file, or zstandard's
    """Return the SHA-256 of all that is left to read."""
    digest = sha256()
    while chunk := reader.read(_READ_BYTES):
        digest.update(chunk)
    return digest.hexdigest()
