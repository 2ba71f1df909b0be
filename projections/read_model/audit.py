"""Compare a copy of a read model with Redis, some documents at a time."""

from collections.abc import Callable
from time import monotonic
from typing import Generic
from uuid import UUID

from events.server.reply import text
from projections.read_model.store import ReadModelStore, State, readable_of, revision_in

DOCUMENTS_EACH = 100
"""Documents that one step compares, about: a change never waits longer for it than some ms."""

STEP_EVERY_S = 1.0
"""Seconds between two steps: hundreds of readers of a large table leave the server its core."""


class Audit(Generic[State]):
    """Finds documents that are newer in Redis than in a copy, although no change said so.

    It goes through the whole table in steps, and begins anew *every_s* seconds after its end.
    """

    def __init__(self, store: ReadModelStore[State], every_s: float) -> None:
        self._store = store
        self._every_s = every_s
        self.begin_anew()

    def begin_anew(self) -> None:
        """Begin with the whole table again: the copy was loaded just now."""
        self._cursor = 0
        self._due_at = monotonic() + self._every_s

    @property
    def is_at_start(self) -> bool:
        """Whether the next step is the first one of the table."""
        return self._cursor == 0

    @property
    def is_due(self) -> bool:
        """Whether it is time for the next step."""
        return monotonic() >= self._due_at

    async def step(
        self, generation: int, revision_of: Callable[[UUID], int]
    ) -> list[tuple[int, State]]:
        """Return those of the next documents that are newer than the revisions of the copy."""

        def is_newer(endpoint: bytes, document: bytes) -> bool:
            revision = revision_in(document)
            try:
                return revision is None or revision > revision_of(UUID(text(endpoint)))
            except ValueError:
                return True

        self._cursor, page = await self._store.page(
            generation, self._cursor, is_newer, DOCUMENTS_EACH
        )
        wait_s = self._every_s if self.is_at_start else min(STEP_EVERY_S, self._every_s)
        self._due_at = monotonic() + wait_s
        return readable_of(page)
