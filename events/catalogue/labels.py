"""Labels: what a person or a program calls endpoints and routes, for others to select them by."""

import re
import reprlib
from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta

LABELS_MAX = 64
"""Labels that one endpoint or one route may have."""

LABEL_CHARACTERS_MAX = 256
"""Characters of a label's value; a key has 63 at most."""

_KEY_WORDS = "be 1 to 63 letters, digits, '.', '_', '/' or '-', the first a letter or digit"
_KEY = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}\Z"

LabelKey = Annotated[str, Meta(pattern=f"{_KEY}(?#{_KEY_WORDS})")]
LabelValue = Annotated[str, Meta(max_length=LABEL_CHARACTERS_MAX)]
Labels = Annotated[dict[LabelKey, LabelValue], Meta(max_length=LABELS_MAX)]
"""Values by keys. Keys of routes by convention: `role`, `zone`, `revision`, `model`."""


def wrong_label(labels: Mapping[Any, Any]) -> tuple[str, str] | None:
    """Return the key of the first label that breaks a limit ("": the key itself does), and why.

    None where all of them are within their limits.
    """
    for key, value in labels.items():
        if not isinstance(key, str) or not re.match(_KEY, key):
            return "", f"key {reprlib.repr(key)} is not allowed: it must {_KEY_WORDS}"
        if not isinstance(value, str):
            return key, f"{reprlib.repr(value)} is not allowed: a label's value is text"
        if len(value) > LABEL_CHARACTERS_MAX:
            shown = reprlib.repr(value)
            return key, f"{shown} has {len(value)} characters, the limit is {LABEL_CHARACTERS_MAX}"
    if len(labels) > LABELS_MAX:
        return "", f"there are {len(labels)}, the limit is {LABELS_MAX}"
    return None
