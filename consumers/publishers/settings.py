"""The settings of the publishers, each in a part of its own."""

from consumers.publishers.envoy.envoy_settings import EnvoySettings
from events.limits import Limited


class PublishSettings(Limited, frozen=True, kw_only=True):
    """What each publisher needs."""

    envoy: EnvoySettings = EnvoySettings()
