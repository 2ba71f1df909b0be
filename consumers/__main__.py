"""The `routestream` command: where all commands come together."""

import gc
import os
import sys
from pathlib import Path

import anyio
import click

from consumers.commands import check, consume, dead, demo, groups
from consumers.errors import ConsumersError
from consumers.logs import LEVELS, configure_logs
from consumers.settings import Settings, read_settings
from events.commands import events, streams
from events.errors import (
    EventsError,
    InvalidEventError,
    InvalidPositionError,
    ServerUnavailableError,
    UncertainAppendError,
)
from events.terminal import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_NO_CONNECTION,
    EXIT_NOT_FOUND,
    EXIT_USAGE,
    Deployment,
)
from producers.commands import add_writing_commands, routes, status
from producers.errors import ProducersError, UnknownEndpointError, UnknownRouteError
from projections.commands import endpoints
from projections.errors import ProjectionsError
