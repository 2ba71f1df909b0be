"""Gather each route's transitions in a replay, one after another, as compact text."""

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from functools import partial
from struct import pack
from typing import ClassVar
from uuid import UUID

import msgspec

from events.catalogue.model_service import (
    AwareTime,
    Failures,
    ModelServiceStatus,
    ModelServiceStatusEvent,
    Reason,
)
from projections.health_state.endpoint_health import EndpointHealth
from projections.health_state.transitions import TRANSITIONS_MAX, Content, Transitions

_Fold = Callable[[UUID, Transitions, EndpointHealth], EndpointHealth]
"""Returns the health with a route's transitions folded in."""

_BETWEEN = " "
_END = b","
"""Follows each transition of a run."""

_BYTES_MAX = 1_024
"""Bytes of a run above which transitions that no longer count are cut off it."""


class _Brief(msgspec.Struct, gc=False):
    """The fields of a `ModelServiceStatusEvent` that count; ids stay text, which is fast."""

    endpoint_id: str
    route_id: str
    new_status: ModelServiceStatus
    session_id: str | None = None
    reason: Reason | None = None
    observed_at: AwareTime = datetime.fromtimestamp(0, UTC)
    consecutive_failures: Failures = 0


class _Ids(msgspec.Struct, gc=False):
    """The ids of the same event, decoded; an invalid one raises."""

    endpoint_id: UUID
    route_id: UUID
    session_id: UUID | None = None


_read = msgspec.json.Decoder(_Brief).decode
_ids_of = msgspec.json.Decoder(_Ids).decode
_numbers_of = msgspec.json.Decoder(list[int]).decode


class _Run(bytearray):
    """One route's newest transitions as text, `ms-seq-index,` each: one object, fast to extend.

    *index* is the place of the transition's content among the distinct contents; *session_id* is
    as it was spelled.
    """

    __slots__ = ("endpoint_id", "route_id", "session_id")

    endpoint_id: UUID
    route_id: UUID
    session_id: str | None


class HealthRuns:
    """The newest transitions of many routes; those of endpoints in *apart* are excluded."""

    kind: ClassVar[type[ModelServiceStatusEvent]] = ModelServiceStatusEvent

    def __init__(self, fold: _Fold, apart: AbstractSet[str]) -> None:
        self._fold = fold
        self._apart = apart
        self._runs: dict[str, _Run] = {}
        self._ends: dict[Content, bytes] = {}

    def __len__(self) -> int:
        return len(self._runs) + len(self._ends)

    def add(self, entry_id: bytes, payload: bytes) -> bool:
        """Add the next event of the log; return False if its endpoint is excluded.

        Raises:
            msgspec.DecodeError: The codec could not read the payload.
        """
        brief = _read(payload)
        run = self._runs.get(brief.endpoint_id + _BETWEEN + brief.route_id)
        # An id that is spelled like one already decoded is valid.
        if run is None or run.session_id != brief.session_id:
            if brief.endpoint_id in self._apart:
                return False
            run = self._run_of(brief, _ids_of(payload))
        content = brief.new_status, brief.reason, brief.consecutive_failures
        end = self._ends.get(content)
        if end is None:
            end = self._ends[content] = b"-%d" % len(self._ends) + _END
        run += entry_id + end
        if len(run) > _BYTES_MAX:
            _shorten(run)
        return True

    def _run_of(self, brief: _Brief, ids: _Ids) -> _Run:
        run = self._runs.setdefault(brief.endpoint_id + _BETWEEN + brief.route_id, _Run())
        run.endpoint_id, run.route_id = ids.endpoint_id, ids.route_id
        run.session_id = brief.session_id
        return run

    def taken(self) -> Iterator[tuple[UUID, Callable[[EndpointHealth], EndpointHealth]]]:
        """Yield the endpoint of each run with the function that folds it; forget the runs."""
        contents = tuple(self._ends)
        while self._runs:
            _, run = self._runs.popitem()
            found = _transitions(run, contents)
            yield run.endpoint_id, partial(self._fold, run.route_id, found)
        self._ends = {}


def _shorten(run: _Run) -> None:
    end = run.find(_END, len(run) // 4) + 1
    if run.count(_END, end) >= TRANSITIONS_MAX:
        del run[:end]


def _transitions(run: _Run, contents: tuple[Content, ...]) -> Transitions:
    # Decoded as JSON, all numbers are read at once.
    numbers = _numbers_of(b"[" + run[:-1].replace(b"-", b",") + b"]")[-3 * TRANSITIONS_MAX :]
    each = tuple([contents[index] for index in numbers[2::3]])
    del numbers[2::3]
    return Transitions(pack(f">{len(numbers)}Q", *numbers), each)
