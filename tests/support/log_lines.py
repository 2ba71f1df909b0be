"""Log lines seen by a test, those of all packages in their order."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from consumers.processes.logs import LOGGERS


class _Listing(logging.Handler):
    def __init__(self, lines: list[Any]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        said = record.__dict__
        level = record.levelname.lower()
        self._lines.append({**said["fields"], "event": said["event"], "log_level": level})


@contextmanager
def captured_lines() -> Iterator[list[Any]]:
    """Give the lines logged inside the block, as dictionaries with `event` and `log_level`."""
    lines: list[Any] = []
    with ExitStack() as restoring:
        handler = _Listing(lines)
        for name in LOGGERS:
            logger = logging.getLogger(name)
            restoring.callback(logger.removeHandler, handler)
            restoring.callback(logger.setLevel, logger.level)
            logger.addHandler(handler)
            logger.setLevel(logging.DEBUG)
        yield lines
