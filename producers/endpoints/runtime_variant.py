"""List the runtime variants: kinds of model server, and how to ask each whether it is ready."""

from collections.abc import Mapping

import msgspec


class RuntimeVariant(msgspec.Struct, frozen=True, kw_only=True):
    """The profile of one kind of model server; the names are Backend.AI's.

    Attributes:
        name: The name by which an endpoint selects it.
        health_check_path: The path to ask whether it is ready; None where that is not known.
        port: The port where it listens by default; None where that is not known.
    """

    name: str
    health_check_path: str | None = None
    port: int | None = None


CUSTOM = "custom"
"""The variant with its health check in a model definition."""

RUNTIME_VARIANTS: Mapping[str, RuntimeVariant] = {
    variant.name: variant
    for variant in (
        RuntimeVariant(name="vllm", health_check_path="/health", port=8000),
        RuntimeVariant(name="nim", health_check_path="/v1/health/ready", port=8000),
        RuntimeVariant(name="huggingface-tgi", health_check_path="/info", port=3000),
        RuntimeVariant(name="sglang", health_check_path="/health", port=9001),
        RuntimeVariant(name="modular-max", health_check_path="/health", port=8000),
        RuntimeVariant(name="cmd"),
        RuntimeVariant(name=CUSTOM),
    )
}


def runtime_variant(name: str) -> RuntimeVariant:
    """Return the profile of *name*; an unknown one has neither path nor port."""
    return RUNTIME_VARIANTS.get(name) or RuntimeVariant(name=name)
