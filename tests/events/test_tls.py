"""TLS by a test's own authority: what is wrong is one line, what is right is a connection."""

import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.processes.embedded import EmbeddedServer, NoServerProgramError, free_port
from events import open_log
from events.errors import EventsError, ServerUnavailableError
from events.server.server import Server
from events.server.settings import ServerSettings
from tests.events.test_refusals import answering
from tests.support.certificates import CertificateAuthority
from tests.support.running_consumer import created
from tests.support.tls_front import tls_front


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


async def answer_of(url: str) -> object:
    server = Server(ServerSettings(url=url, timeout_s=20))
    try:
        return await server.client.call("ECHO", "there")
    finally:
        await server.aclose()


async def refusal_of(url: str) -> str:
    with pytest.raises(EventsError) as raised:
        await answer_of(url)
    assert type(raised.value) is ServerUnavailableError
    assert "\n" not in str(raised.value)
    return str(raised.value)


async def test_the_certificate_of_an_authority_of_ones_own_is_trusted_by_its_file_alone(
    shared_server: EmbeddedServer, authority: CertificateAuthority, tmp_path: Path
) -> None:
    other = CertificateAuthority(tmp_path, "other")
    async with tls_front(shared_server.port, authority.serving("plain")) as (port, _):
        url = f"rediss://localhost:{port}"
        assert await answer_of(f"{url}?ssl_ca_certs={authority.file}") == b"there"
        for trusting in ("", f"?ssl_ca_certs={other.file}"):
            told = await refusal_of(url + trusting)
            assert "certificate cannot be verified" in told
            assert "ssl_ca_certs=FILE" in told


@pytest.mark.parametrize(
    ("days", "subject", "words"),
    [
        (-1, "DNS:localhost", "certificate has expired"),
        (1, "DNS:elsewhere.example", "is not valid for 'localhost'"),
    ],
)
async def test_a_certificate_that_does_not_hold_is_told_in_one_line(
    shared_server: EmbeddedServer,
    authority: CertificateAuthority,
    days: int,
    subject: str,
    words: str,
) -> None:
    async with tls_front(
        shared_server.port, authority.serving("any", days=days, subject=subject)
    ) as (port, _):
        url = f"rediss://localhost:{port}?ssl_ca_certs={authority.file}"
        assert words in (told := await refusal_of(url))
        assert "ssl_ca_certs" not in told
        if days == 1:
            assert await answer_of(f"{url}&ssl_check_hostname=false") == b"there"


async def test_a_server_that_wants_a_certificate_is_told_of_and_takes_ours(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    certificate, key = authority.sign("client")
    strange = CertificateAuthority(tmp_path, "strange").sign("stranger")
    context = authority.serving("asking", asks_clients=True)
    port = answering(b"+OK\r\n", lambda plain: context.wrap_socket(plain, server_side=True))
    url = f"rediss://localhost:{port}?ssl_ca_certs={authority.file}"
    assert await answer_of(f"{url}&ssl_certfile={certificate}&ssl_keyfile={key}") == b"OK"
    assert WANTED.search(await refusal_of(url))
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # which refuses before anything can be sent
    wrong = await refusal_of(f"{url}&ssl_certfile={strange[0]}&ssl_keyfile={strange[1]}")
    assert "does not take our certificate" in wrong


WANTED = re.compile("wants a certificate of ours.* ssl_certfile=FILE")
"""What is said where the server's own word arrives, and where it is lost with the connection."""


@pytest.fixture
def tls_server(tmp_path: Path, authority: CertificateAuthority) -> Iterator[tuple[int, str]]:
    """A server that speaks TLS itself and wants a certificate: its port, the options of a URL."""
    certificate, key = authority.sign("server", subject="DNS:localhost,IP:127.0.0.1")
    port = free_port()
    server = EmbeddedServer(
        tmp_path,
        *("--tls-port", str(port), "--tls-cert-file", str(certificate)),
        *("--tls-key-file", str(key), "--tls-ca-cert-file", str(authority.file)),
    )
    try:
        server.start()
    except NoServerProgramError:
        pytest.skip("the server that was found is built without TLS: Debian's redis-server has it")
    yield port, f"?ssl_ca_certs={authority.file}&ssl_certfile={certificate}&ssl_keyfile={key}"
    server.stop()


async def test_a_log_lies_on_a_server_that_speaks_tls_itself(
    tls_server: tuple[int, str], namespace: str
) -> None:
    port, options = tls_server
    async with open_log(f"rediss://127.0.0.1:{port}{options}", namespace=namespace) as log:
        await log.append(created())
        assert len([recorded async for recorded in log.read()]) == 1
    without_ours = f"rediss://127.0.0.1:{port}{options.partition('&')[0]}"
    assert WANTED.search(await refusal_of(without_ours))
