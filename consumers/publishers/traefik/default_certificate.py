"""Makes the certificate that saves Traefik from making one at each change."""

from shutil import which
from subprocess import PIPE, CalledProcessError

import anyio
import msgspec

from events.structured_logger import structured_logger

_COMMAND = (
    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
    *("-nodes", "-days", "36500", "-subj", "/CN=routestream default", "-keyout", "-", "-out", "-"),
)
_DEADLINE_S = 10.0
_KEY_ENDS = "-----END PRIVATE KEY-----\n"

_log = structured_logger(__name__)


class Certificate(msgspec.Struct, frozen=True):
    """A certificate and its private key, both as PEM."""

    certificate: str
    key: str

    def __repr__(self) -> str:
        return "Certificate(...)"


async def new_certificate() -> Certificate | None:
    """Return a new self-signed certificate (EC P-256), None where there is no `openssl` for it.

    Traefik shows it to clients for whose host it has no other; nobody verifies it.
    """
    if which(_COMMAND[0]) is None:
        _warn("there is no openssl on PATH")
        return None
    try:
        with anyio.fail_after(_DEADLINE_S):
            made = await anyio.run_process(_COMMAND, stderr=PIPE)
    except (OSError, CalledProcessError, TimeoutError) as error:
        _warn(str(error) or "openssl takes too long")
        return None
    key, ends, certificate = made.stdout.decode().partition(_KEY_ENDS)
    return Certificate(certificate.strip() + "\n", (key + ends).strip() + "\n")


def _warn(why: str) -> None:
    _log.warning("no_default_certificate", why=why, what="each change takes Traefik 80 ms longer")
