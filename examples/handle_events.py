"""Print every event of the log, in a handler group of its own: the example of docs/extending.md."""

import os

import anyio

from consumers import open_group
from events import START, RecordedEvent, open_log


async def handle(recorded: RecordedEvent) -> None:
    """Do the group's work for one event; raise where it failed."""
    print(recorded.entry_id, recorded.event, flush=True)


async def main() -> None:
    """Handle what there is and what comes, until the program is ended."""
    async with (
        open_log(os.environ["REDIS_URL"]) as log,
        open_group(log, "printing", handle, start=START),
    ):
        await anyio.sleep_forever()


anyio.run(main)
