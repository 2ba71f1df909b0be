"""How one probe of a route ended, and for which cause it failed."""

from typing import Literal, get_args

import msgspec

ProbeCause = Literal[
    "refused",
    "connect_timeout",
    "answer_timeout",
    "reset",
    "unreachable",
    "name",
    "address",
    "tls",
    "protocol",
    "status",
    "body",
    "not_serving",
    "not_allowed",
    "lacking",
]
"""Why a probe failed.

- `refused`: nobody listens there.
- `connect_timeout`, `answer_timeout`: no connection, or no whole answer, was there in time.
- `reset`: the connection was closed before the answer.
- `unreachable`: no way leads there.
- `name`, `address`: the host's name is not known, or is none.
- `tls`: no TLS, or a certificate that is not trusted.
- `protocol`: what came is no answer of the protocol.
- `status`, `body`: it answered, but another status, or without the text expected.
- `not_serving`: over gRPC, it says that it does not serve.
- `not_allowed`: its address lies in none of the checker's networks.
- `lacking`: this machine lacks files, memory or ports. This one and the last say nothing of the
  route.
"""

PROBE_CAUSES: tuple[ProbeCause, ...] = get_args(ProbeCause)

_LATE = frozenset({"connect_timeout", "answer_timeout", "reset"})
_HERE = frozenset({"not_allowed", "lacking"})


class ProbeResult(msgspec.Struct, frozen=True, gc=False):
    """How one probe of a route ended.

    Attributes:
        success: Whether the route answered as expected.
        reason: Why it failed, in a few words; no header and nothing of the body is in it.
        cause: Why it failed, for a program; None for a success.
        duration_s: How long it took.
    """

    success: bool
    reason: str | None = None
    cause: ProbeCause | None = None
    duration_s: float = 0.0

    @property
    def is_late(self) -> bool:
        """Whether no answer came in time: that of a checker that stood still says nothing."""
        return self.cause in _LATE

    @property
    def failed_here(self) -> bool:
        """Whether this machine lacks something, or may not connect there.

        That says nothing of the route.
        """
        return self.cause in _HERE
