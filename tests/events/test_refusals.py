"""What a server or the network refuses is told in one sentence, which shows no secret."""

import re
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Thread

import pytest

from consumers.processes.embedded import EmbeddedServer, embedded_server
from events.errors import (
    EventsError,
    NotAdmittedError,
    ServerRefusedError,
    ServerUnavailableError,
    UnknownCommandError,
)
from events.server.client import Client
from events.server.server import Server, open_server
from events.server.settings import ServerSettings
from tests.support.servers import SLOTS, cluster_node, until_answering

SECRET = "hunter2-secret"  # noqa: S105 - of no server


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[Client]:
    server = Server(ServerSettings(url=url, timeout_s=2))
    try:
        yield server.client
    finally:
        await server.aclose()


async def refusal(url: str, *command: object) -> EventsError:
    async with client_of(url) as client:
        with pytest.raises(EventsError) as raised:
            await client.call(*(command or ("PING",)))
    return raised.value


def answering(reply: bytes, wrap: Callable[[socket.socket], socket.socket] | None = None) -> int:
    """Let a server answer each command with *reply*, or hang up; return its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            try:
                connection = connection if wrap is None else wrap(connection)
                if not reply:  # what is not read when a connection is closed would reset it
                    connection.shutdown(socket.SHUT_WR)
                while commands := connection.recv(4_096):
                    answers = max(1, len(re.findall(rb"(?:^|\n)\*", commands)))
                    if reply:
                        connection.sendall(reply * answers)
            except OSError:
                pass
            connection.close()

    Thread(target=serve, daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("reply", "kind", "sentence"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", NotAdmittedError, "no Redis server"),
        (b"", ServerUnavailableError, "the server closed the connection"),
        (b"-ERR max number of clients reached\r\n", ServerUnavailableError, "all the connections"),
        (b"-DENIED Redis is running in protected mode\r\n", ServerRefusedError, "protected mode"),
        (b"-NOAUTH Authentication required.\r\n", NotAdmittedError, "wants a password"),
        (b"-MOVED 866 10.0.0.2:6379\r\n", ServerRefusedError, "another node of this Redis Cluster"),
        (b"-ASK 866 10.0.0.2:6379\r\n", ServerUnavailableError, "moving the key's slot to 10.0"),
        (b"-CROSSSLOT Keys in request\r\n", ServerRefusedError, "keys of several slots"),
        (b"-CLUSTERDOWN Hash slot not served\r\n", ServerUnavailableError, "all of its slots"),
        (b"-READONLY You can't write\r\n", ServerUnavailableError, "is a replica, and takes no"),
        (b"-OOM command not allowed\r\n", ServerUnavailableError, "used all of its memory"),
        (b"-MISCONF Errors writing\r\n", ServerUnavailableError, "cannot save to its disk"),
        (b"-LOADING Redis is loading\r\n", ServerUnavailableError, "is loading its data"),
    ],
)
async def test_what_a_server_answers_is_told_in_one_sentence(
    reply: bytes, kind: type[EventsError], sentence: str
) -> None:
    port = answering(reply)
    error = await refusal(f"redis://127.0.0.1:{port}", "GET", SECRET)
    assert type(error) is kind
    assert sentence in str(error)
    assert "\n" not in str(error)
    assert SECRET not in str(error)


@pytest.fixture
def own_certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for localhost that nobody has signed, and its key."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    options = ("-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost")
    names = ("-addext", "subjectAltName=DNS:localhost")
    subprocess.run(
        ["openssl", "req", *options, *names, "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    return certificate, key


async def test_a_certificate_that_is_not_trusted_is_named_as_the_cause(
    own_certificate: tuple[Path, Path],
) -> None:
    certificate, key = own_certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    port = answering(b"+OK\r\n", lambda plain: context.wrap_socket(plain, server_side=True))

    error = await refusal(f"rediss://localhost:{port}")
    assert type(error) is ServerUnavailableError
    assert "certificate cannot be verified: self-signed certificate; ssl_ca_certs=" in str(error)
    other_name = await refusal(f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}")
    assert "IP address mismatch" in str(other_name)
    for trusting in (f"ssl_ca_certs={certificate}", "ssl_cert_reqs=none"):
        async with client_of(f"rediss://localhost:{port}?{trusting}") as client:
            assert await client.call("ECHO", "there") == b"OK"
    plain = answering(b"-ERR no TLS here\r\n")
    assert "does it speak TLS at this port?" in str(await refusal(f"rediss://localhost:{plain}"))


async def test_a_renamed_command_is_named_without_its_arguments() -> None:
    renamed = ("--rename-command", "AUTH", "", "--rename-command", "INFO", "")
    with embedded_server(*renamed) as server:
        login = await refusal(server.url.replace("redis://", f"redis://user:{SECRET}@"))
        assert "does not know the command AUTH" in str(login)
        assert SECRET not in str(login)
        assert isinstance(login, NotAdmittedError)
        unknown = await refusal(server.url, "INFO", SECRET)
        assert isinstance(unknown, UnknownCommandError)
        assert SECRET not in str(unknown)
        async with open_server(ServerSettings(url=server.url)) as opened:
            assert await opened.weaknesses() == []
            assert not await opened.can_wait_for_fsync()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("redis://127.0.0.1:{port}/99", "does not have the database that its URL names"),
        (f"redis://user:{SECRET}@127.0.0.1:{{port}}", "does not take the user and password"),
        (f"redis://:{SECRET}@127.0.0.1:{{port}}", "its URL has a password, and the server none"),
    ],
)
async def test_a_server_that_lets_nobody_in_refuses_every_command(
    shared_server: EmbeddedServer, url: str, sentence: str
) -> None:
    error = await refusal(url.format(port=shared_server.port))
    assert type(error) is NotAdmittedError
    assert sentence in str(error)
    assert SECRET not in str(error)


async def test_a_node_of_a_cluster_says_what_it_is() -> None:
    with cluster_node() as node:
        async with client_of(node.url) as client:
            assert "serve all of its slots" in str(await refusal(node.url, "GET", "key"))
            await client.call("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS - 1)
            await until_answering(client, "SET", "key", "value")
        crossing = await refusal(node.url, "EXISTS", "{a}", "{b}")
        assert "keys of several slots; the log needs a server that is no cluster" in str(crossing)
        assert "database 0 only" in str(await refusal(f"{node.url}/1"))
