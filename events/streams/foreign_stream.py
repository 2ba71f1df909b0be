"""Read any Redis stream as a log of one partition."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from events.entry.recorded import Entry
from events.errors import EventsError
from events.log.keys import NAMESPACE, Keys
from events.log.layout import Layout
from events.log.log import EventLog
from events.server.reply import reply, text
from events.server.server import Server


class ForeignEvent(msgspec.Struct, frozen=True):
    """The content of an entry that another system wrote.

    Attributes:
        name: The kind of event.
        source: The origin of the event.
        summary: The content in a few words.
        values: The content as JSON can hold it, by the names that an entry's fields have in JSON.
        endpoint: The endpoint that it is about, if it names one.
    """

    name: str
    source: str
    summary: str
    values: Mapping[str, Any]
    endpoint: str = ""


class ForeignDecoder(Protocol):
    """Reads an entry that another system wrote; an EventsError says why it cannot be read."""

    def __call__(self, entry: Entry, *, wide: bool = False) -> ForeignEvent:
        """Return the content of the entry; a *wide* summary has whole ids."""


class NoStreamError(EventsError):
    """There is no stream of that name."""


class WrongStreamError(NoStreamError):
    """The key of that name is not a stream."""


class OneStream(Keys, frozen=True):
    """The keys of a log whose only partition is the stream *key*, whatever program made it."""

    key: str = ""

    @property
    def of_what(self) -> str:
        """The stream, as an error names it."""
        return f"the stream {self.key!r}"

    def events(self, partition: int) -> str:  # noqa: ARG002 - there is only one
        """Stream: the only one there is."""
        return self.key


async def open_foreign_stream(server: Server, key: str) -> EventLog:
    """Return a log that reads the stream *key*; it is for reading alone.

    Raises:
        NoStreamError: There is no such key, or it holds something else.
    """
    await check_stream(server, key)
    return foreign_log(server, key)


def foreign_log(server: Server, key: str, namespace: str = NAMESPACE) -> EventLog:
    """Return a log that reads the stream *key*, which need not exist; it is for reading alone.

    What a group of ours keeps beside the stream lies under *namespace*, on the same server.
    """
    return EventLog(server, OneStream(namespace, key=key), Layout(1), "")


async def check_stream(server: Server, key: str | bytes) -> None:
    """Raise NoStreamError if there is no such key, or it holds something else."""
    kind = reply(await server.client.call("TYPE", key), bytes).decode()
    shown = text(key) if isinstance(key, bytes) else key
    if kind == "none":
        raise NoStreamError(f"there is no stream {shown!r} on {server.address}")
    if kind != "stream":
        raise WrongStreamError(f"the key {shown!r} on {server.address} is a {kind}, no stream")
