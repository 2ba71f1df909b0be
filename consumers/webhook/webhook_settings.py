"""The settings of the webhook: its URL, its events and its secrets."""

from types import MappingProxyType
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta

from consumers.handlers.handler_settings import HandlerSettings
from consumers.runtime.outcome import WaitSeconds
from consumers.webhook.signature import key_of
from events.catalogue.endpoint import EndpointCreatedEvent, EndpointDestroyedEvent
from events.catalogue.model_service import ModelServiceStatusEvent
from events.catalogue.registry import BY_WIRE_NAME
from events.catalogue.route import RouteFailedEvent
from events.limits import is_http_url
from events.masks import each_hidden, hidden, origin_of

SECRETS_MAX = 5

WORTH_A_CALL = tuple(
    kind.wire_name
    for kind in (
        ModelServiceStatusEvent,
        RouteFailedEvent,
        EndpointCreatedEvent,
        EndpointDestroyedEvent,
    )
)
"""The events that are POSTed unless others are chosen."""


class WebhookSettings(HandlerSettings, frozen=True, kw_only=True):
    """What is POSTed where, with the settings that every handler group has.

    The URL and the secrets are shown nowhere: whoever has them can call in our name.

    Attributes:
        url: `http://` or `https://`; without it there is no webhook.
        secret: Signs each request; `whsec_` and base64, or at least 16 characters of any text.
        secrets: Further secrets that sign, too, while receivers change from one to another.
        events: Wire names of the events that are POSTed.
        deadline_s: The longest time for one request, including its response.
    """

    SECRETS = MappingProxyType({"url": origin_of, "secret": hidden, "secrets": each_hidden})

    url: str = ""
    secret: str = ""
    secrets: Annotated[tuple[str, ...], Meta(max_length=SECRETS_MAX)] = ()
    events: tuple[str, ...] = WORTH_A_CALL
    deadline_s: WaitSeconds = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.url:
            _check_url(self.url)
        for field, secret in (
            ("secret", self.secret),
            *(("secrets", further) for further in self.secrets),
        ):
            if secret or field == "secrets":
                try:
                    key_of(secret)
                except ValueError as error:
                    raise ValueError(f"{field}: {error}") from None
        if not self.events:
            raise ValueError("events are none; leave url away for no webhook at all")
        for name in self.events:
            if name not in BY_WIRE_NAME:
                raise ValueError(f"events has {name!r}, allowed are {', '.join(BY_WIRE_NAME)}")

    @property
    def all_secrets(self) -> tuple[str, ...]:
        """Every secret that signs."""
        return tuple(secret for secret in (self.secret, *self.secrets) if secret)

    @property
    def host(self) -> str:
        """Scheme and host of the URL, without its parts that may be secret."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname or ''}" if self.url else ""


def _check_url(url: str) -> None:
    if not is_http_url(url):
        raise ValueError("url cannot be used: http://HOST/... and https://HOST/... are allowed")
