"""Sets up logs on standard error: readable on a terminal, JSON lines otherwise."""

import logging
import sys
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor

LOGGERS = ("events", "projections", "producers", "consumers")


def configure_logs(level: str = "info") -> None:
    """Set up the logs of this process; the composition root calls it once.

    All packages log through `logging`; structlog gives their records their form.

    *level* is a level that the command line offers, or `critical` for no logs at all.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter())
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers = [handler]  # replaced, so that a second call adds no handler
        logger.setLevel(level.upper())


class _Formatter(logging.Formatter):
    """Imports structlog at the first record: most commands end without one."""

    def format(self, record: logging.LogRecord) -> str:
        return self._structured.format(record)

    @cached_property
    def _structured(self) -> logging.Formatter:
        import structlog  # noqa: PLC0415 - see the class

        renderer: Processor = (
            structlog.dev.ConsoleRenderer()
            if sys.stderr.isatty()
            else structlog.processors.JSONRenderer()
        )
        completing: list[Processor] = [
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
        ]
        return structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_take_fields, *completing],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )


def _take_fields(_logger: object, _method: str, line: "EventDict") -> "EventDict":
    """Replace the message of a record by its event and its fields."""
    record: logging.LogRecord = line["_record"]
    fields = getattr(record, "fields", {})
    event = getattr(record, "event", line["event"])
    return {**fields, **line, "event": event}
