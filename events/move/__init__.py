"""Move a log while it runs: to another number of partitions, or to another server."""

from events.move.change_over import LogChangeOver, NotMovedError
from events.move.log_copy import LogCopy
from events.move.target import open_target

__all__ = ["LogChangeOver", "LogCopy", "NotMovedError", "open_target"]
