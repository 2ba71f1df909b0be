"""Load a Lua script with the parts that it includes, and run it."""

import re
from collections.abc import Sequence
from hashlib import sha1
from importlib.resources import files
from typing import TypeVar

import redis.exceptions as redis_errors
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

T = TypeVar("T")

ForgottenScriptError = redis_errors.NoScriptError
"""Raised where the server no longer has a script that was sent by its digest."""

_INCLUDE = re.compile(r"^-- include (\w+)\n", re.MULTILINE)


class Script:
    """A Lua script, which is sent whole if the server does not have it."""

    def __init__(self, client: Redis, text: str) -> None:
        self._client = client
        self._text = text
        self._digest = sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, keys: list[str], args: Sequence[object]) -> object:
        """Run the script."""
        answer: object
        try:
            answer = await self._client.execute_command(  # type: ignore[no-untyped-call]
                "EVALSHA", self._digest, len(keys), *keys, *args
            )
        except redis_errors.NoScriptError:
            # The server keeps what EVAL sends. SCRIPT LOAD, which may be switched off, is not used.
            answer = await self._client.execute_command(*self.whole(keys, args))  # type: ignore[no-untyped-call]
        return answer

    def queue(self, pipeline: Pipeline, keys: list[str], args: Sequence[object]) -> None:
        """Add a run of the script to *pipeline*."""
        pipeline.execute_command(*self.whole(keys, args))

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
