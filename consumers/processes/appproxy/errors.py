"""Says why there is no AppProxy."""


class NoAppProxyError(Exception):
    """AppProxy cannot be run here; the message says what is missing."""


class AppProxyFailedError(Exception):
    """AppProxy, or its database, did not start; the message has the end of what it logged."""
