"""Sends queries to a server; a refused one is noted, and the others are sent anyway."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Self

from consumers.doctor.finding import Finding, error, ok, warning
from consumers.doctor.stray_values import Unreadable
from events.errors import (
    NotAdmittedError,
    ServerRefusedError,
    ServerUnavailableError,
    UnknownCommandError,
    WrongTypeError,
)
from events.log.keys import Keys
from events.server.client import Client
from events.server.pool import NeverSentError
from events.server.reply import reply_or_none
from events.server.server import Server
from events.server.translation import was_not_carried_out

_ABOUT_THE_SERVER = ("ACL ", "CONFIG ", "INFO", "TIME")
"""Commands without which something of the server is not known, but all of the log."""

_OPTIONAL = ("ACL ", "CONFIG ")
"""Those of them that a managed server often lacks for good, and that nothing of ours needs."""

_NO_RIGHT = "no permission"
_OF_KEYS = re.compile(r"permissions to access (a key|one of the keys)")


class ServerQueries:
    """Sends short commands that only read.

    Attributes:
        refused: The commands that were refused, with the reason.
        lacking: Those of them that the server does not have.
        wrong_types: Keys of another type than belongs there, with the server's words.
        unreadable: Notes the stray values that were read.
    """

    def __init__(self, server: Server, client: Client | None = None) -> None:
        self._server = server
        self._client = client or server.client
        self.refused: dict[str, str] = {}
        self.lacking: set[str] = set()
        self.wrong_types: dict[str, str] = {}
        self.unreadable = Unreadable()

    @property
    def is_cluster(self) -> bool:
        """Whether keys may lie on several servers."""
        return self._server.is_cluster

    async def place_of(self, key: str) -> str:
        """Return the address of the server that has *key*."""
        return str((await self._server.at(key)).place)

    async def each(self) -> list[tuple[str, Self]]:
        """Return for each server, if there are several its address, and queries to it alone.

        They note what is refused where these note it.
        """
        nodes = await self._server.each()
        found = []
        for node in nodes:
            queries = type(self)(self._server, node)
            queries.refused, queries.lacking = self.refused, self.lacking
            found.append((f"{node.place} " if len(nodes) > 1 else "", queries))
        return found

    async def ask(self, *command: object) -> object:
        """Return the reply, None if the server refuses the command.

        Raises:
            ServerUnavailableError: There is no server.
            NotAdmittedError: It does not let us in.
        """
        try:
            return await self._client.call(*command)
        except WrongTypeError as error:
            self.wrong_types.setdefault(error.keys[0], str(error))
        except NotAdmittedError:
            raise
        except ServerRefusedError as refusal:
            self.refused.setdefault(str(command[0]), str(refusal))
            if isinstance(refusal, UnknownCommandError):
                self.lacking.add(str(command[0]))
        except ServerUnavailableError as refusal:
            if not _is_answered(refusal):
                raise
            self.refused.setdefault(str(command[0]), str(refusal))
        return None

    @property
    def account(self) -> str:
        """The user of the queries, by the URL."""
        return self._server.settings.server_url.username or "default"

    @property
    def watched_as(self) -> str:
        """The name by which sentinels know the server as their master; empty where none do."""
        return self._server.settings.server_url.master

    def was_told(self, command: str, key: str) -> bool:
        """Whether *command* of *key* was answered."""
        return command not in self.refused and key not in self.wrong_types

    def is_forbidden(self, command: str) -> bool:
        """Whether this account lacks the right to *command*, or to our keys."""
        return _NO_RIGHT in self.refused.get(command, "")

    async def info(self, section: str) -> Mapping[str, Any]:
        """Return *section* of INFO; empty if it is refused."""
        return reply_or_none(await self.ask("INFO", section), dict[str, Any]) or {}


def _is_answered(refusal: ServerUnavailableError) -> bool:
    """Whether a server refused for now: it is loading, or its master is away."""
    return was_not_carried_out(refusal) and not isinstance(refusal.__cause__, NeverSentError)


def refusal_findings(queries: ServerQueries, keys: Keys) -> Iterable[Finding]:
    """Yield one finding for each refused command, and for each key of a wrong type."""
    for key, why in queries.wrong_types.items():
        yield error(
            f"key {key}",
            f"something else lies there than belongs there: {why}",
            to_do=f"redis-cli RENAME '{key}' '{key}:stray', then see who wrote it",
        )
    for command, why in queries.refused.items():
        to_do = "see what the other findings say, and try again"
        if queries.is_forbidden(command):
            right = f"+{command.lower().replace(' ', '|')}"
            if _OF_KEYS.search(why):
                right = f"~{keys.namespace}:* ~{{{keys.namespace}:*"
            to_do = f"ACL SETUSER {queries.account} {right}"
        if command in queries.lacking and command.startswith(_OPTIONAL):
            yield ok(f"refused {command}", f"what it would tell is not known: {why}")
            continue
        is_of_log = not command.startswith(_ABOUT_THE_SERVER)
        say = error if is_of_log and not queries.is_forbidden(command) else warning
        yield say(
            f"refused {command}",
            f"the server refuses {command}, so that a part of this is not known: {why}",
            to_do=to_do,
        )
