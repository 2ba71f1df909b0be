"""How values are shown that are secrets, or have one in them."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

MASK = "***"
"""Stands in place of a secret."""


def hidden(_secret: object) -> str:
    """Return what is shown in place of a secret."""
    return MASK


def each_hidden(secrets: Sequence[object]) -> tuple[str, ...]:
    """Return what is shown in place of several."""
    return tuple(map(hidden, secrets))


def without_login(url: str) -> str:
    """Return *url*, whatever its scheme, without a user and a password before its host."""
    return re.sub(r"://[^/]*@", f"://{MASK}@", url)


def without_logins(urls: Sequence[str]) -> tuple[str, ...]:
    """Return several URLs as `without_login` does."""
    return tuple(map(without_login, urls))


def origin_of(url: str) -> str:
    """Return where *url* leads to; its path and query may be what allows to call it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/{MASK}"
