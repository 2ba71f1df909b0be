"""The settings of the publishers, each in a part of its own."""

from consumers.publishers.backend_ai.settings import BackendAISettings
from consumers.publishers.envoy.envoy_settings import EnvoySettings
from consumers.publishers.router.router_settings import RouterSettings
from consumers.publishers.traefik.traefik_settings import (
    TraefikHttpSettings,
    TraefikRedisSettings,
    TraefikSettings,
)
from events.limits import Limited


class PublishSettings(Limited, frozen=True, kw_only=True):
    """What each publisher needs."""

    backend_ai: BackendAISettings = BackendAISettings()
    envoy: EnvoySettings = EnvoySettings()
    router: RouterSettings = RouterSettings()
    traefik: TraefikSettings = TraefikSettings()
    traefik_http: TraefikHttpSettings = TraefikHttpSettings()
    traefik_redis: TraefikRedisSettings = TraefikRedisSettings()
