"""Sets up logs on standard error: readable on a terminal, JSON lines otherwise."""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor

LOGGERS = ("events", "projections", "producers", "consumers")


def configure_logs(level: str = "info") -> None:
    """Set up the logs of this process; the composition root calls it once.

    All packages log through `logging`; structlog gives their records their form.

    *level* is a level that the command line offers, or `critical` for no logs at all.
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
        logger.handlers = [handler]  # replaced, so that a second call adds no handler
        logger.setLevel(level.upper())


def _take_fields(_logger: object, _method: str, line: EventDict) -> EventDict:
    """Replace the message of a record by its event and its fields."""
    record: logging.LogRecord = line["_record"]
    fields = getattr(record, "fields", {})
    event = getattr(record, "event", line["event"])
    return {**fields, **line, "event": event}
