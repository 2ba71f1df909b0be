"""Load a Lua script with the parts that it includes, and run it."""

import re
from collections.abc import Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Protocol, TypeVar

import redis.exceptions as redis_errors

T = TypeVar("T")

ForgottenScriptError = redis_errors.NoScriptError
"""Raised where the server no longer has a script that was sent by its digest."""

_INCLUDE = re.compile(r"^-- include (\w+)\n", re.MULTILINE)


class Sends(Protocol):
    """Sends one command and returns the reply."""

    async def call(self, *command: object) -> object:
        """Send *command*."""


class Script:
    """A Lua script, which is sent whole if the server does not have it."""

    def __init__(self, client: Sends, text: str) -> None:
        self._client = client
        self._text = text
        self._digest = sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, keys: list[str], args: Sequence[object]) -> object:
        """Run the script."""
        try:
            return await self._client.call(*self.by_digest(keys, args))
        except redis_errors.NoScriptError:
            # The server keeps what EVAL sends. SCRIPT LOAD, which may be switched off, is not used.
            return await self._client.call(*self.whole(keys, args))

    def by_digest(self, keys: list[str], args: Sequence[T]) -> tuple[str | int | T, ...]:
        """Return the command that runs the script on a server that has it."""
        return ("EVALSHA", self._digest, len(keys), *keys, *args)

    def whole(self, keys: list[str], args: Sequence[T]) -> tuple[str | int | T, ...]:
        """Return the command that runs the script, whether or not the server has it."""
        return ("EVAL", self._text, len(keys), *keys, *args)


def script_text(package: str, name: str) -> str:
    """Return the script `lua/NAME.lua` of *package*, with the parts that it includes."""
    return _INCLUDE.sub(_part, files(package).joinpath("lua", f"{name}.lua").read_text())


def _part(included: re.Match[str]) -> str:
    return files("events.server").joinpath("lua", "parts", f"{included[1]}.lua").read_text()
