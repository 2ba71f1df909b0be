"""The settings for reading model definitions."""

from types import MappingProxyType
from typing import Annotated

from msgspec import Meta

from events.limits import Limited
from events.masks import hidden

Seconds = Annotated[float, Meta(ge=0.01, le=300)]


class ModelDefinitionSettings(Limited, frozen=True, kw_only=True):
    """Where model definitions and runtime variants are read from.

    The token is the storage proxy's secret for managers; it is shown nowhere.

    Attributes:
        runtime_variants_file: A YAML file of further runtime variants, and of others in the place
            of those that are shipped (`producers/model_definitions/runtime_variants.yaml`).
        storage_proxy_token: What the storage proxy's manager-facing API asks for.
        storage_proxy_ca_file: The certificates, in PEM form, of those who may have signed that of
            the storage proxy; without it the system's are.
        connect_timeout_s: The longest time until the storage proxy is connected to.
        timeout_s: The longest time until a model definition is read from the storage proxy.
    """

    SECRETS = MappingProxyType({"storage_proxy_token": hidden})

    runtime_variants_file: str = ""
    storage_proxy_token: str = ""
    storage_proxy_ca_file: str = ""
    connect_timeout_s: Seconds = 5.0
    timeout_s: Seconds = 30.0

    def __post_init__(self) -> None:
        super().__post_init__()
        token = self.storage_proxy_token
        if not token.isascii() or not all(character.isprintable() for character in token):
            raise ValueError("storage_proxy_token must consist of printable ASCII characters")
