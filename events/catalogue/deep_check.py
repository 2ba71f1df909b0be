"""The deep check of an endpoint: a model server is asked for one token, now and then."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Path = Annotated[
    str, Meta(pattern=r"^/[^\s]*\Z(?#begin with a slash and have no space)", max_length=2048)
]

DeepPreset = Literal["openai_completions", "openai_chat"]
"""What is asked: `/v1/completions`, or `/v1/chat/completions`, for one token."""


class DeepCheck(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """How a route's model is asked for one token, beside the cheap probes. Times are in seconds.

    Attributes:
        preset: What is asked of the model server.
        path: The path that is asked, None for the preset's own.
        model: The model's name on the server; None: the endpoint's model.
        interval: Time between two deep checks.
        max_wait_time: Time after which a deep check without an answer has failed.
        max_retries: Failures in a row after which the route is unhealthy.
        traffic_window: A deep check is left out where a request of a user's succeeded within this
            time; 0: none is left out.
    """

    preset: DeepPreset = "openai_completions"
    path: Path | None = None
    model: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    interval: Annotated[float, Meta(ge=0.1, le=86_400)] = 300.0
    max_wait_time: Annotated[float, Meta(ge=0.01, le=3_600)] = 60.0
    max_retries: Annotated[int, Meta(ge=1, le=1_000)] = 2
    traffic_window: Annotated[float, Meta(ge=0, le=86_400)] = 60.0
