"""Report through the `logging` of the program that uses our packages.

The packages print nothing and install no handler. A record's message is the event's name with its
fields, for any formatter; its attributes `event` and `fields` hold the same for one that writes
JSON.
"""

import logging


class StructuredLogger:
    """A logger of the standard library that takes an event's name and its fields."""

    def __init__(self, logger: logging.Logger, **bound: object) -> None:
        self._logger = logger
        self._bound = bound

    def bind(self, **fields: object) -> "StructuredLogger":
        """Return a logger that adds *fields* to every record."""
        return StructuredLogger(self._logger, **(self._bound | fields))

    def is_enabled_for(self, level: int) -> bool:
        """Return whether records of *level* are wanted; see `logging`."""
        return self._logger.isEnabledFor(level)

    def debug(self, event: str, /, **fields: object) -> None:
        """Report what only a search for a fault needs."""
        self._log(logging.DEBUG, event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        """Report what an operator may want to know later."""
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """Report what is wrong now and may pass by itself."""
        self._log(logging.WARNING, event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        """Report what an operator has to look at."""
        self._log(logging.ERROR, event, fields)

    def _log(self, level: int, event: str, fields: dict[str, object]) -> None:
        if not self._logger.isEnabledFor(level):
            return
        fields = self._bound | fields
        template = " ".join((event, *(f"{name}=%r" for name in fields)))
        extra = {"event": event, "fields": fields}
        self._logger.log(level, template, *fields.values(), extra=extra, stacklevel=3)


def structured_logger(module: str) -> StructuredLogger:
    """Return the logger of *module*, which names itself by `__name__`."""
    return StructuredLogger(logging.getLogger(module))
