"""A producer: appends at random, and writes into its journal what it asked for and was told."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from uuid import UUID, uuid4

import anyio
from msgspec.structs import replace

from consumers.processes.logs import configure_logs
from consumers.processes.stopping import stopping
from events import EventLog, Metadata, open_log
from events.catalogue.event import Event
from events.entry.entry_id import EntryId
from events.errors import (
    ConflictError,
    EventsError,
    NotDurableError,
    ServerRefusedError,
    ServerUnavailableError,
    UncertainAppendError,
)
from events.log.batch import FSYNC, MEMORY
from events.server.settings import ServerSettings
from tests.soak.journal import Journal
from tests.support.histories import (
    checked,
    created,
    destroyed,
    failed,
    listed,
    observed,
    record,
    route_created,
    started,
    terminating,
    weighted,
)

SHARED = tuple(UUID(int=0x50AC_0000 + number) for number in range(6))
"""Endpoints of which all producers tell."""

_OWN = 6
_EVENTS_MAX = 4
_PAUSE_MAX_S = 0.08
_END_OF_ONE = 0.004
_FSYNC = 0.05
_EXPECTED = 0.3


class Producer:
    """Appends one after another; it knows of its endpoints no more than it was told itself."""

    def __init__(self, log: EventLog, journal: Journal, name: str, random: Random) -> None:
        self._log = log
        self._journal = journal
        self._name = name
        self._random = random
        self._serial = 0
        self._own = [self._new_id() for _ in range(_OWN)]
        self._heads: dict[UUID, EntryId] = {}
        self._stopping = anyio.Event()

    async def run(self, *, can_wait: bool) -> None:
        """Append until stopped."""
        random = self._random
        while not self._stopping.is_set():
            if random.random() < _END_OF_ONE:
                place = random.randrange(_OWN)
                events: list[Event] = [replace(destroyed(), endpoint_id=self._own[place])]
                self._own[place] = self._new_id()
            else:
                of = random.choice([*SHARED, *self._own])
                events = [something(random, of) for _ in range(random.randint(1, _EVENTS_MAX))]
            expected = self._heads.get(events[0].endpoint_id)
            if random.random() > _EXPECTED:
                expected = None
            await self.append(events, expected, fsync=can_wait and random.random() < _FSYNC)
            with anyio.move_on_after(random.random() * _PAUSE_MAX_S):
                await self._stopping.wait()

    async def stop(self) -> None:
        """Let the append come to its end that is under way, and begin no other."""
        self._stopping.set()

    async def append(
        self, events: Sequence[Event], expected: EntryId | None = None, *, fsync: bool = False
    ) -> bool:
        """Append *events*, and note how that ended; say whether it was acknowledged."""
        self._serial += 1
        request_id = f"{self._name}:{self._serial}"
        self._journal.ask(request_id, events)
        try:
            appended = await self._log.append(
                *events,
                expected=expected,
                durability=FSYNC if fsync else MEMORY,
                metadata=Metadata(request_id=request_id),
            )
        except (UncertainAppendError, NotDurableError) as error:
            self._journal.tell(request_id, "uncertain", str(error))
        except ConflictError as error:
            self._journal.tell(request_id, "refused", str(error))
            self._heads[error.endpoint_id] = EntryId(*error.head)
        except (ServerUnavailableError, ServerRefusedError) as error:
            self._journal.tell(request_id, "refused", str(error))
        else:
            self._journal.tell(request_id, "acknowledged", entry_ids=appended.entry_ids)
            self._heads[events[-1].endpoint_id] = appended.entry_ids[-1]
            return True
        return False

    def head_of(self, endpoint_id: UUID) -> EntryId | None:
        """Return the endpoint's last entry that it was told of."""
        return self._heads.get(endpoint_id)

    def _new_id(self) -> UUID:
        return UUID(int=self._random.getrandbits(128), version=4)


def something(random: Random, endpoint_id: UUID) -> Event:
    """Return something that could happen to the endpoint."""
    route = random.randrange(3)
    event: Event = random.choice(
        [
            created(name=f"v{random.randrange(9)}"),
            checked(None),
            listed(*(record(one) for one in random.sample(range(3), random.randrange(4)))),
            listed(*(record(one, traffic_ratio=random.random()) for one in range(3))),
            route_created(route),
            started(route, kernel_port=random.randrange(30_000, 30_009)),
            started(route),
            terminating(route),
            failed(route, "no GPU"),
            weighted(random.random(), route),
            observed("healthy", route),
            observed("unhealthy", route, consecutive_failures=random.randrange(1, 9)),
        ]
    )
    return replace(event, endpoint_id=endpoint_id)


async def produce(settings: ServerSettings, namespace: str, folder: Path, seed: int) -> None:
    """Be one producer until a signal comes or its supervisor is gone.

    Each life has a name and a journal of its own.
    """
    name = f"{os.getpid()}-{uuid4().hex[:6]}"
    journal = Journal(folder / f"{name}.journal")
    async with open_log(settings, namespace=namespace, source=name) as log:
        can_wait = await log.server.can_wait_for_fsync()
        producer = Producer(log, journal, name, Random(f"{seed}-{name}"))
        async with stopping(producer.stop, supervised=True):
            await producer.run(can_wait=can_wait)


if __name__ == "__main__":
    configure_logs("error")
    url, namespace, folder, seed = sys.argv[1:]
    # Shorter waits than in earnest: more tries, and more of them in vain.
    server = ServerSettings(url=url, timeout_s=2.0)
    try:
        anyio.run(produce, server, namespace, Path(folder), int(seed))
    except EventsError as error:
        sys.exit(f"Error: {error}")
