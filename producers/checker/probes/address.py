"""Where a route answers."""

from typing import NamedTuple

from events.catalogue.route import Protocol


class Address(NamedTuple):
    """Where a route answers, and over which protocol."""

    host: str
    port: int
    protocol: Protocol = "http"

    def __str__(self) -> str:
        return f"{self.protocol} {self.host}:{self.port}"
