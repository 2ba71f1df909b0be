"""Passwords beside the URL, and what is renewed while a process runs."""

import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumers.processes.embedded import EmbeddedServer, embedded_server
from events import open_log
from events.errors import NotAdmittedError, ServerRefusedError, ServerUnavailableError
from events.server.server import Server
from events.server.settings import ServerSettings
from tests.support.tls_front import tls_front

OLD, NEW = "the old one", "p@ss/w:rd ü"


@pytest.fixture
async def guarded() -> AsyncIterator[EmbeddedServer]:
    """A server whose default user has a password."""
    with embedded_server() as server:
        async with open_log(server.url) as log:
            await log.server.client.call("CONFIG SET", "requirepass", OLD)
        yield server


async def test_a_password_may_stand_in_the_environment(guarded: EmbeddedServer) -> None:
    async with open_log(ServerSettings(url=guarded.url, password=OLD)) as log:
        assert await log.server.client.call("ECHO", "there") == b"there"
    with pytest.raises(ServerRefusedError, match="wants a password"):
        async with open_log(guarded.url):
            pass


async def test_a_new_password_is_taken_from_its_file_without_a_restart(
    guarded: EmbeddedServer, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text(f"{OLD}\n")
    server = Server(ServerSettings(url=guarded.url, password_file=str(file)))
    try:
        await server.client.call("CONFIG SET", "requirepass", NEW)
        file.write_text(f"{NEW}\r\nnot this line\n")
        await (await server.at("")).connection_pool.disconnect()
        assert await server.client.call("ECHO", "there") == b"there"
        async with server.blocking("", 10) as client:
            assert await client.call("ECHO", "there") == b"there"

        file.unlink()
        await (await server.at("")).connection_pool.disconnect()
        with pytest.raises(
            NotAdmittedError, match=r"password_file .* cannot be read: no such file"
        ):
            await server.client.call("PING")
    finally:
        await server.aclose()


async def test_the_user_of_the_url_logs_in_with_the_password_of_the_file(
    guarded: EmbeddedServer, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text(NEW)
    async with open_log(ServerSettings(url=guarded.url, password=OLD)) as log:
        rule = ("on", f">{NEW}", "~*", "+@all")
        await log.server.client.call("ACL SETUSER", "reader", *rule)
    url = guarded.url.replace("redis://", "redis://reader@")
    async with open_log(ServerSettings(url=url, password_file=str(file))) as log:
        assert await log.server.client.call("ACL WHOAMI") == "reader"


def test_a_password_is_given_once_and_its_file_can_be_read(tmp_path: Path) -> None:
    file = tmp_path / "password"
    for content, problem in ((b"\n", "is empty"), (b"\xff", "UTF-8"), (b"x" * 5_000, "4096 bytes")):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=problem):
            ServerSettings(password_file=str(file))
    file.write_bytes(b"secret")
    for url, password in (("redis://:other@host", None), ("redis://host", "other")):
        with pytest.raises(ValueError, match="given twice") as raised:
            ServerSettings(url=url, password=password, password_file=str(file))
        assert "secret" not in str(raised.value)
        assert "other" not in str(raised.value)


def certified(folder: Path) -> ssl.SSLContext:
    """Write a new certificate for localhost and its key to *folder*; return what serves by it."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    options = ("-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost")
    names = ("-addext", "subjectAltName=DNS:localhost")
    subprocess.run(
        ["openssl", "req", *options, *names, "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def test_a_renewed_certificate_is_trusted_without_a_restart(
    shared_server: EmbeddedServer, tmp_path: Path
) -> None:
    trusting = f"?ssl_ca_certs={tmp_path / 'certificate.pem'}"
    async with tls_front(shared_server.port, certified(tmp_path)) as (port, listener):
        server = Server(ServerSettings(url=f"rediss://localhost:{port}{trusting}", timeout_s=5))
        try:
            assert await server.client.call("ECHO", "there") == b"there"
            listener.ssl_context = certified(tmp_path)
            await (await server.at("")).connection_pool.disconnect()
            assert await server.client.call("ECHO", "again") == b"again"

            (tmp_path / "certificate.pem").write_bytes(b"no certificate")
            await (await server.at("")).connection_pool.disconnect()
            with pytest.raises(ServerUnavailableError):
                await server.client.call("PING")
        finally:
            await server.aclose()
