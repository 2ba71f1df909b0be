"""An engine of the demo: the process of a model server that can be told to misbehave."""

from typing import Literal

from consumers.cli.demo.replica import Replica

Behaviour = Literal["loading", "ready", "hung", "broken", "flapping"]


class Engine(Replica):
    """A model server that loads at first, and then behaves as it is told."""

    program = "consumers.cli.demo.lifecycle.engine_server"

    async def become(self, behaviour: Behaviour) -> None:
        """Let it behave so from now on."""
        if self._process is not None and self._process.stdin is not None:
            await self._process.stdin.send(f"{behaviour}\n".encode())
