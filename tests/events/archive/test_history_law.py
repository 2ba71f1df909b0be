"""Whatever is appended, archived and trimmed in whatever order: the history is what was appended.

The oracle is a list that knows nothing of streams and files.
"""

from pathlib import Path
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.processes.embedded import EmbeddedServer
from events import EntryId, EventLog, open_log
from events.archive import Archive
from events.history.history import History
from events.log.positions import Positions
from tests.events.support.archives import add, archive_in, run, trim

appends = st.tuples(
    st.just("append"),
    # How far the clock jumps forward before each entry: ids rise, in ms or in seq.
    st.lists(st.sampled_from([(0, 1), (1, 0), (1, 7), (10**9, 0)]), min_size=1, max_size=15),
)
runs = st.tuples(st.just("run"), st.floats(0, 1))
trims = st.tuples(st.just("trim"), st.floats(0, 1))
spans = st.tuples(st.just("read"), st.tuples(st.floats(0, 1), st.floats(0, 1)))
steps = st.lists(st.one_of(appends, runs, trims, spans), max_size=14)


class World:
    """A log with an archive, and beside it the list of what was appended."""

    def __init__(self, log: EventLog, archive: Archive) -> None:
        self.log = log
        self.archive = archive
        self.appended: list[EntryId] = []

    def at(self, part: float) -> EntryId:
        """Return one of the ids, or what lies behind the last."""
        place = int(part * len(self.appended))
        if place < len(self.appended):
            return self.appended[place]
        return self.appended[-1].after() if self.appended else EntryId(1, 0)

    async def append(self, jumps: list[tuple[int, int]]) -> None:
        for ms, seq in jumps:
            last = self.appended[-1] if self.appended else EntryId(1, 0)
            self.appended.append(EntryId(last.ms + ms, seq if ms else last.seq + seq))
        await add(self.log, *map(str, self.appended[-len(jumps) :]))

    async def run(self, part: float) -> None:
        await run(self.log, self.archive, self.at(part))

    async def trim(self, part: float) -> None:
        """Trim as retention may: up to a position that is not beyond the archive's."""
        held = await Positions(self.log.server, self.log.keys, 0).of("archive")
        if held is not None:
            await trim(self.log, str(min(self.at(part), held.after())))

    async def read(self, span: tuple[float, float]) -> None:
        start, end = map(self.at, span)
        chunks = History(self.log, self.archive).read_entries(0, start, end, 3)
        read = [entry.entry_id async for chunk in chunks for entry in chunk]
        assert read == [one for one in self.appended if start <= one <= end]
        back = History(self.log, self.archive).read_entries_back(0, start, end, 3)
        assert [entry.entry_id async for chunk in back for entry in chunk] == read[::-1]

    async def read_all(self) -> None:
        history = History(self.log, self.archive)
        chunks = history.read_entries(0)
        assert [entry.entry_id async for c in chunks for entry in c] == self.appended
        back = history.read_entries_back(0, count=3)
        assert [entry.entry_id async for c in back for entry in c] == self.appended[::-1]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=steps)
async def test_the_history_is_what_was_appended(
    shared_server: EmbeddedServer, tmp_path: Path, history: list[tuple[str, object]]
) -> None:
    name = f"law-{uuid4().hex[:12]}"
    async with open_log(shared_server.url, namespace=name) as log:
        world = World(log, archive_in(tmp_path, log, entries_max=4))
        for what, how in history:
            await getattr(world, what)(how)
        await world.read_all()
