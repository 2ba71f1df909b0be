"""Load a Lua script with the parts that it includes, and run it."""

import re
from collections.abc import Sequence
from importlib.resources import files

import redis.exceptions as redis_errors
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

_INCLUDE = re.compile(r"^-- include (\w+)\n", re.MULTILINE)


class Script:
    """A Lua script, which is loaded if the server does not have it."""

    def __init__(self, client: Redis, text: str) -> None:
        self._client = client
        self._text = text
        self._loaded = client.register_script(text)

    async def __call__(self, keys: list[str], args: Sequence[object]) -> object:
        """Run the script."""
        answer: object
        try:
            answer = await self._loaded(keys, args)  # type: ignore[arg-type]
        except redis_errors.NoScriptError:
            # The server forgot the script between load and call: EVAL sends it whole.
            answer = await self._client.execute_command(*self._whole(keys, args))  # type: ignore[no-untyped-call]
        return answer

    def queue(self, pipeline: Pipeline, keys: list[str], args: Sequence[object]) -> None:
        """Add a run of the script to *pipeline*."""
        pipeline.execute_command(*self._whole(keys, args))

    def _whole(self, keys: list[str], args: Sequence[object]) -> tuple[object, ...]:
        return ("EVAL", self._text, len(keys), *keys, *args)


def script_text(package: str, name: str) -> str:
    """Return the script `lua/NAME.lua` of *package*, with the parts that it includes."""
    return _INCLUDE.sub(_part, files(package).joinpath("lua", f"{name}.lua").read_text())


def _part(included: re.Match[str]) -> str:
    return files("events.server").joinpath("lua", "parts", f"{included[1]}.lua").read_text()
