"""The real coordinator and the real worker of a test, with a Redis of their own."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from consumers.processes.appproxy.appproxy_process import AppProxy, appproxy
from consumers.processes.appproxy.errors import NoAppProxyError
from consumers.processes.embedded import embedded_server
from tests.consumers.publishers.support.appproxy_environment import environment


@contextmanager
def appproxy_or_skip(release: str) -> Iterator[AppProxy]:
    """Run AppProxy *release* with a Redis of its own; skip the test where it cannot be run."""
    with embedded_server() as redis, ExitStack() as stack:
        try:
            opened = stack.enter_context(appproxy(environment(release), redis.port))
        except NoAppProxyError as error:
            pytest.skip(str(error))
        yield opened
