"""A secret stands in each place where settings may hold one, and in nothing that is put out."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import DEVNULL
from traceback import format_exception
from uuid import uuid4

import anyio
import pytest
from aiohttp import ClientSession
from anyio.abc import Process
from rich.pretty import pretty_repr

from consumers.cli.config.config import show_settings
from consumers.processes.embedded import EmbeddedServer
from consumers.processes.supervisor import routestream_command
from consumers.settings import InvalidSettingsError, Settings, read_settings
from events import HealthCheck, open_log
from tests.consumers.support.commands import Commands
from tests.support.listening import listening_hosts
from tests.support.running_consumer import created
from tests.support.waiting import wait_until


class Planted(dict[str, str]):
    """Secrets by the place where each stands; every place has its own."""

    def __missing__(self, place: str) -> str:
        return self.setdefault(place, f"secret{uuid4().hex}")

    def seen_in(self, text: str) -> list[str]:
        """Return the places whose secret can be read in *text*."""
        return [place for place, secret in self.items() if secret in text]


SERVERS = (
    "redis://user:{before_host}@127.0.0.1:1",
    "redis://127.0.0.1:1?username=user&password={in_query}",
    "rediss://:{with_tls}@127.0.0.1:1?ssl_certfile={file}&ssl_keyfile={file}&ssl_password={of_key}",
    "sentinel://:{of_master}@127.0.0.1:1,127.0.0.1:2/main?sentinel_password={of_sentinels}",
    "cluster://user:{of_cluster}@127.0.0.1:1",
)


@pytest.fixture
def planted() -> Planted:
    return Planted()


def environment_with(planted: Planted) -> dict[str, str]:
    """Return variables that set everything that holds a secret, but for the server's URL."""
    return {
        "ROUTESTREAM_BACKEND_AI_URL": f"redis://:{planted['backend_ai']}@127.0.0.1:1",
        "ROUTESTREAM_WEBHOOK_URL": f"http://u:{planted['login']}@127.0.0.1:1/{planted['path']}",
        "ROUTESTREAM_WEBHOOK_SECRET": planted["webhook"],
        "ROUTESTREAM_WEBHOOK_SECRETS": f"{planted['second']},{planted['third']}",
        "ROUTESTREAM_PUBLISH_BACKEND_AI_TOKEN": planted["appproxy"],
        "ROUTESTREAM_PUBLISH_BACKEND_AI_REDIS_URL": f"redis://:{planted['core']}@127.0.0.1:1",
        "ROUTESTREAM_PUBLISH_TRAEFIK_HTTP_APIS": f"edge=http://u:{planted['api']}@127.0.0.1:1",
        "ROUTESTREAM_PUBLISH_TRAEFIK_REDIS_URL": f"redis://:{planted['traefik']}@127.0.0.1:1",
        "ROUTESTREAM_PUBLISH_TRAEFIK_REDIS_SENTINELS": f"redis://:{planted['watch']}@127.0.0.1:1",
        "ROUTESTREAM_PUBLISH_TRAEFIK_REDIS_APIS": f"http://u:{planted['edge']}@127.0.0.1:1",
        "ROUTESTREAM_PUBLISH_ENVOY_ADMINS": f"http://u:{planted['admin']}@127.0.0.1:1",
        "ROUTESTREAM_MODEL_DEFINITION_STORAGE_PROXY_TOKEN": planted["storage"],
    }


def server_url(form: str, planted: Planted, folder: Path) -> str:
    """Return the URL of a server that is not there; its key, if it has one, is encrypted."""
    file = folder / "certificate-and-key.pem"
    if "{of_key}" in form:
        options = ("-x509", "-newkey", "rsa:2048", "-days", "2", "-subj", "/CN=localhost")
        into = ("-passout", f"pass:{planted['of_key']}", "-keyout", file, "-out", f"{file}.cert")
        subprocess.run(["openssl", "req", *options, *into], check=True, capture_output=True)
        file.write_text(file.read_text() + Path(f"{file}.cert").read_text())
    places = set(re.findall(r"\{(\w+)\}", form)) - {"file"}
    return form.format(file=file, **{place: planted[place] for place in places})


@pytest.mark.parametrize("form", SERVERS, ids=lambda form: form.partition("://")[0])
async def test_settings_show_no_secret_and_neither_does_a_command_that_fails(
    planted: Planted, tmp_path: Path, namespace: str, form: str
) -> None:
    environment = environment_with(planted) | {"REDIS_URL": server_url(form, planted, tmp_path)}
    settings = read_settings(None, environment)
    texts = [repr(settings), pretty_repr(settings), repr(settings.server.server_url), f"{settings}"]
    commands = Commands("redis://127.0.0.1:1", namespace)
    commands.configure(**{name: getattr(settings, name) for name in Settings.__struct_fields__})
    outputs = ("table", "wide", "json", "jsonl", "csv")
    texts += [(await commands(show_settings, "-o", output)).output for output in outputs]
    ended = run(routestream_command("--log-level", "debug", "doctor"), environment)
    assert ended.returncode in {1, 4}, ended.stderr
    texts += [ended.stdout, ended.stderr]
    assert [planted.seen_in(text) for text in texts] == [[] for _ in texts]


def run(words: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    outer = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    return subprocess.run(
        words, env={**outer, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_help_shows_none_of_the_settings(planted: Planted) -> None:
    environment = environment_with(planted) | {"ROUTESTREAM_SERVER_PASSWORD": planted["server"]}
    help_of_all = "; ".join(
        f"p.main(['{path}', '--help'], standalone_mode=False)"
        for path in ("publish", "consume", "doctor")
    )
    program = f"from consumers.cli.command_tree import routestream as p; {help_of_all}"
    ended = run([sys.executable, "-c", program], environment)
    assert ended.stdout.count("Usage:") == 3
    assert planted.seen_in(ended.stdout + ended.stderr) == []


@pytest.mark.parametrize("variable", environment_with(Planted()))
def test_a_setting_that_is_refused_is_told_without_its_secret(
    planted: Planted, variable: str
) -> None:
    for wrong in (f"{planted['bare']}://é", f"redis://:{planted['cut']}/x#@host", "é" * 9_000):
        environment = environment_with(planted) | {variable: wrong}
        with suppress(InvalidSettingsError), raising_what_shows(planted):
            read_settings(None, environment)


@contextmanager
def raising_what_shows(planted: Planted) -> Iterator[None]:
    """Fail the test if an error of the block has a secret in it."""
    try:
        yield
    except Exception as error:
        seen = planted.seen_in("".join(format_exception(error)))
        if seen:
            pytest.fail(f"{seen} can be read in an error")
        raise


@pytest.mark.timeout(300)
async def test_processes_get_secrets_by_the_environment_and_show_them_nowhere(
    shared_server: EmbeddedServer, planted: Planted, namespace: str
) -> None:
    user = f"user-{namespace}"
    environment = {
        **os.environ,
        **environment_with(planted),
        "REDIS_URL": shared_server.url.replace("//", f"//{user}:{planted['server']}@"),
        "ROUTESTREAM_NAMESPACE": namespace,
        "ROUTESTREAM_LOG_LEVEL": "debug",
        "AWS_SECRET_ACCESS_KEY": planted["aws"],
    }
    async with open_log(shared_server.url, namespace=namespace) as log:
        rights = ("on", f">{planted['server']}", "~*", "+@all")
        await log.server.client.call("ACL SETUSER", user, *rights)
        command = routestream_command("consume", "webhook", "--processes", "1")
        async with (
            await anyio.open_process(command, env=environment, stdout=DEVNULL) as process,
            anyio.create_task_group() as tasks,
        ):
            said = Said()
            tasks.start_soon(said.listen, process)
            try:
                await wait_until(lambda: "consumer_started" in said.text, "it starts", 60.0)
                await log.append(created())
                await wait_until(lambda: "entry_retried" in said.text, "nobody answers", 60.0)
                texts = [await answer_of(url) for url in said.urls]
                pids = [process.pid, *children_of(process.pid)]
                texts += [shown for pid in pids for shown in shown_of(pid)]
                assert set.union(*map(listening_hosts, pids)) == {"127.0.0.1"}
            finally:
                process.terminate()
        await log.server.client.call("ACL DELUSER", user)
    assert len(pids) == 2
    assert len(said.urls) == 4
    assert [planted.seen_in(text) for text in (*texts, said.text)] == [[]] * (len(texts) + 1)


def shown_of(pid: int) -> list[str]:
    """Return what the system shows of a process to everybody."""
    return [Path(f"/proc/{pid}/{name}").read_text() for name in ("cmdline", "comm", "status")]


class Said:
    """What a process says on its standard error."""

    def __init__(self) -> None:
        self.text = ""

    async def listen(self, process: Process) -> None:
        assert process.stderr is not None
        async for chunk in process.stderr:
            self.text += chunk.decode()

    @property
    def urls(self) -> list[str]:
        """Where the process, and those that it started, answer."""
        served = re.findall(r'"url": "(http://127.0.0.1:[0-9]+)/metrics"', self.text)
        return [f"{url}/{path}" for url in served for path in ("metrics", "readyz")]


async def answer_of(url: str) -> str:
    async with ClientSession() as session, session.get(url) as answer:
        return await answer.text()


def children_of(pid: int) -> list[int]:
    return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def test_a_health_check_is_written_without_its_headers_secrets(planted: Planted) -> None:
    check = HealthCheck(path="/", headers={"authorization": planted["header"], "accept": "any"})
    assert planted.seen_in(f"{check!r} {pretty_repr(check)}") == []
    assert "any" in repr(check)
