"""Signs requests, so that a receiver can tell that one comes from us and is not old."""

import base64
import binascii
import hmac
from collections.abc import Iterable, Mapping
from hashlib import sha256

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"

TOLERANCE_S = 300
"""A request that was signed longer ago, or that much in the future, is not to be trusted."""

KEY_BYTES_MIN = 16

_PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """Return the key of *secret*: the decoded base64 after `whsec_`, else the secret as UTF-8.

    Raises:
        ValueError: It is not base64, or too short; the message does not contain the secret.
    """
    try:
        is_coded = secret.startswith(_PREFIX)
        key = (
            base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
            if is_coded
            else secret.encode()
        )
    except (binascii.Error, ValueError):
        raise ValueError(f"what follows {_PREFIX} is not base64") from None
    if len(key) < KEY_BYTES_MIN:
        raise ValueError(f"it has {len(key)} bytes, the least is {KEY_BYTES_MIN}")
    return key


def sign(body: bytes, event_id: str, at_s: int, secrets: Iterable[str]) -> dict[str, str]:
    """Return the headers that sign *body*, once with each of *secrets*.

    They are those of the Standard Webhooks specification, for which there are libraries in most
    languages: HMAC-SHA256 over id, time and body with dots in between, in base64.
    """
    signatures = [f"v1,{_signature(body, event_id, at_s, key_of(secret))}" for secret in secrets]
    headers = {ID_HEADER: event_id, TIMESTAMP_HEADER: str(at_s)}
    return {**headers, SIGNATURE_HEADER: " ".join(signatures)} if signatures else headers


def is_signed(body: bytes, headers: Mapping[str, str], secret: str, now_s: float) -> bool:
    """Whether *body* was signed with *secret* within the last `TOLERANCE_S` seconds.

    For receivers in Python. *headers* are the request's, their names in lower case. The time does
    not depend on how much of a signature is right.

    Example:
        >>> headers = sign(b"{}", "some-id", 1_700_000_000, ["a secret of 18 chars"])
        >>> is_signed(b"{}", headers, "a secret of 18 chars", now_s=1_700_000_002.5)
        True
        >>> is_signed(b"[]", headers, "a secret of 18 chars", now_s=1_700_000_002.5)
        False
    """
    at = headers.get(TIMESTAMP_HEADER, "")
    if not (at.isascii() and at.isdigit()) or abs(now_s - int(at)) > TOLERANCE_S:
        return False
    expected = _signature(body, headers.get(ID_HEADER, ""), int(at), key_of(secret)).encode()
    found = False
    for signature in headers.get(SIGNATURE_HEADER, "").split(" "):
        version, _, value = signature.partition(",")
        found |= version == "v1" and hmac.compare_digest(value.encode(), expected)
    return found


def _signature(body: bytes, event_id: str, at_s: int, key: bytes) -> str:
    signed = b".".join((event_id.encode(), str(at_s).encode(), body))
    return base64.b64encode(hmac.digest(key, signed, sha256)).decode()
