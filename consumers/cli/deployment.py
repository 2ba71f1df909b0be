"""The deployment that a command works on: as the settings say, and with what reads it."""

import os
from pathlib import Path
from types import MappingProxyType

import click

from consumers.cli.backend_ai_entry import printed_entry
from consumers.cli.terminal.output import Deployment
from consumers.processes.logs import configure_logs
from consumers.settings import Settings, read_settings
from producers.backend_ai import wire as backend_ai_wire

_SETTINGS = "routestream.settings"
"""Where click's context keeps the settings."""

FOREIGN_DECODERS = MappingProxyType({backend_ai_wire.STREAM.decode(): printed_entry})
"""What reads the entries of other systems' streams, by the stream's key."""


def set_up(context: click.Context, config: Path | None, log_level: str) -> None:
    """Read the settings, and leave them and the deployment where commands look for them.

    Raises:
        InvalidSettingsError: A setting is wrong.
    """
    configure_logs(log_level)
    settings = read_settings(config, os.environ)
    retention = settings.retention
    context.obj = Deployment(
        settings.server,
        settings.namespace,
        settings.partitions,
        archive=settings.archive,
        foreign=FOREIGN_DECODERS,
        snapshots=settings.snapshots.directory,
        retention=None if retention.keep_s is None else retention.rule,
    )
    keep_settings(context, settings)


def keep_settings(context: click.Context, settings: Settings) -> None:
    """Let `current_settings` return *settings* from now on."""
    context.meta[_SETTINGS] = settings


def current_settings() -> Settings:
    """Return the settings that the command now running was started with."""
    return click.get_current_context().meta.get(_SETTINGS) or Settings()
