"""What can go wrong in a consumer process; each message is a sentence to act on."""


class ConsumersError(Exception):
    """A group, a consumer or their settings are not as they must be."""


class UnknownGroupError(ConsumersError):
    """No group of that name is shipped or installed."""


class TakenNameError(ConsumersError):
    """A group was given a name that stands for another one."""


class MissingSettingError(ConsumersError):
    """What was asked for cannot run without a setting; it is named."""


class UnprocessableError(ConsumersError):
    """A handler raises it for an event that no further try will help: a dead letter at once.

    *reason* names the kind of failure in the dead letter.
    """

    def __init__(self, problem: str, reason: str = "unprocessable") -> None:
        super().__init__(problem)
        self.reason = reason


class TryLaterError(ConsumersError):
    """A handler raises it for a failure after which it was told how long to wait, in seconds."""

    def __init__(self, problem: str, after_s: float) -> None:
        super().__init__(problem)
        self.after_s = after_s


class LeaseLostError(ConsumersError):
    """Another consumer owns the partition now, or may do so at any moment."""
