"""The errors of consumer processes; each message is a sentence to act on."""


class ConsumersError(Exception):
    """Base class of the errors of groups, consumers and their settings."""


class UnknownGroupError(ConsumersError):
    """No group of that name is shipped or installed."""


class TakenNameError(ConsumersError):
    """A group was given a name that is already taken."""


class MissingSettingError(ConsumersError):
    """A group or process cannot run without a setting; the message names it."""


class UnprocessableError(ConsumersError):
    """Raised by a handler if no further try can help; the event becomes a dead letter at once.

    *reason* names the kind of failure in the dead letter.
    """

    def __init__(self, problem: str, reason: str = "unprocessable") -> None:
        super().__init__(problem)
        self.reason = reason


class TryLaterError(ConsumersError):
    """Raised by a handler whose receiver said how long to wait: *after_s* seconds."""

    def __init__(self, problem: str, after_s: float) -> None:
        super().__init__(problem)
        self.after_s = after_s


class LeaseLostError(ConsumersError):
    """Another consumer owns the partition now, or may do so at any moment."""


class UnreachableProxyError(ConsumersError):
    """A proxy, or what it reads from, cannot be written to now; the message says why."""


class ListenError(ConsumersError):
    """The address at which proxies shall reach a publisher cannot be opened."""


class UnknownPublisherError(ConsumersError):
    """No publisher of that name is shipped or installed."""
