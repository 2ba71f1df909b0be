"""Durability: what an append waits for before it says that it is done."""

import msgspec


class Durability(msgspec.Struct, frozen=True):
    """Wait until the events are in memory (nothing more), on disk, on replicas.

    Attributes:
        fsync: Wait until the server has synced its append-only file (Redis 7.2, Valkey 8).
        replicas: Wait until so many replicas have the events.
        timeout_ms: The longest wait for either.
    """

    fsync: bool = False
    replicas: int = 0
    timeout_ms: int = 2_000

    def __post_init__(self) -> None:
        if self.replicas < 0:
            raise ValueError(f"replicas is {self.replicas}, the least is 0")
        if self.timeout_ms < 1:
            raise ValueError(f"timeout_ms is {self.timeout_ms}, the least is 1")


MEMORY = Durability()
FSYNC = Durability(fsync=True)
