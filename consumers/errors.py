"""What can go wrong in a consumer process; each message is a sentence to act on."""


class ConsumersError(Exception):
    """A group, a consumer or their settings are not as they must be."""


class UnknownGroupError(ConsumersError):
    """No group of that name is shipped."""


class UnprocessableError(ConsumersError):
    """A handler raises it for an event that no further try will help: a dead letter at once."""
