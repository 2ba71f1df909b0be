"""The logs: readable on a terminal, JSON lines otherwise, always on standard error."""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor

LOGGERS = ("events", "projections", "producers", "consumers")


def configure_logs(level: str = "info") -> None:
    """Set up the logs of this process; called once, by the composition root.

    All packages log through `logging`; structlog gives their records their form.

    *level* is one of those that can be asked for, or `critical` for nothing at all.
    """
    on_terminal = sys.stderr.isatty()
    renderer: Processor = (
        structlog.dev.ConsoleRenderer() if on_terminal else structlog.processors.JSONRenderer()
    )
    completing: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_take_fields, *completing],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers = [handler]  # not one more for each call
        logger.setLevel(level.upper())


def _take_fields(_logger: object, _method: str, line: EventDict) -> EventDict:
    """Put the event and the fields of a record in the place of its message."""
    record: logging.LogRecord = line["_record"]
    fields = getattr(record, "fields", {})
    event = getattr(record, "event", line["event"])
    return {**fields, **line, "event": event}
