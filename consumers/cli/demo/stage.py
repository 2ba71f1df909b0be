"""What a story of the demo is played on."""

from collections.abc import Mapping

import msgspec


class Stage(msgspec.Struct, frozen=True):
    """The parts of a deployment.

    Attributes:
        replicas: How many model servers each endpoint has at the beginning, by its name.
        processes: The arguments of each process, by its name; those of one kind end in numbers.
        settings: Variables that the processes get beside those of every story.
    """

    replicas: Mapping[str, int]
    processes: Mapping[str, tuple[str, ...]]
    settings: Mapping[str, str] = {}
