"""The failures: what went wrong with some partitions, told when the others are done with."""

from collections.abc import Iterator
from contextlib import contextmanager

from consumers.cli.terminal.talk import say
from projections.errors import ProjectionsError


class Failures:
    """The errors of a command that goes on with the next partition."""

    def __init__(self) -> None:
        self._errors: list[ProjectionsError] = []

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the error in which the block ends."""
        try:
            yield
        except ProjectionsError as error:
            self._errors.append(error)

    def tell(self) -> None:
        """Raise the first error, if there was any, and print the others before."""
        for error in self._errors[1:]:
            say(f"and: {error}")
        if self._errors:
            raise self._errors[0]
