"""The questions to a server: each is asked in any case, and what is refused is noted."""

from collections.abc import Iterable, Mapping
from typing import Any

import redis.exceptions as redis_errors

from consumers.doctor.finding import Finding, warning
from consumers.doctor.held import Unreadable
from events.connection import NeverSentError
from events.errors import ServerRefusedError, ServerUnavailableError
from events.server import Client, was_not_carried_out

_NO_RIGHT = "no permission"


class Questions:
    """Asks commands that only read, none of which may take long.

    Attributes:
        refused: What was refused, with the server's words.
        unreadable: What was told, and is not what belongs there.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self.refused: dict[str, str] = {}
        self.unreadable = Unreadable()

    async def ask(self, *command: Any) -> Any:  # noqa: ANN401 - Redis's reply
        """Return the reply, None where the server refuses to give it.

        Raises:
            ServerUnavailableError: There is no server.
            ServerRefusedError: It does not let us in.
        """
        try:
            return await self._client.call(*command)
        except ServerRefusedError as refusal:
            if isinstance(refusal.__cause__, redis_errors.AuthenticationError):
                raise
            self.refused.setdefault(str(command[0]), str(refusal))
        except ServerUnavailableError as refusal:
            if not _is_answered(refusal):
                raise
            self.refused.setdefault(str(command[0]), str(refusal))
        return None

    async def info(self, section: str) -> Mapping[str, Any]:
        """Return what INFO tells of *section*; nothing where it is refused."""
        return await self.ask("INFO", section) or {}


def _is_answered(refusal: ServerUnavailableError) -> bool:
    """Whether a server said no, for now: it loads, or follows a master that is away."""
    cause = refusal.__cause__
    return was_not_carried_out(refusal) and not isinstance(
        cause, NeverSentError | redis_errors.AuthenticationError
    )


def refusal_findings(refused: Mapping[str, str], user: str | None) -> Iterable[Finding]:
    """Yield one finding for each command that was refused; what it would tell is not known."""
    name = user or "USER"
    for command, why in refused.items():
        lacks_right = _NO_RIGHT in why
        to_do = f"ACL SETUSER {name} +{command.lower().replace(' ', '|')}"
        yield warning(
            f"refused {command}",
            f"the server refuses {command}, so that a part of this is not known: {why}",
            to_do=to_do if lacks_right else "see what the other findings say, and try again",
        )
