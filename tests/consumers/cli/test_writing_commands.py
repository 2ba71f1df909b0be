"""The commands that record facts, run as a person or a script runs them."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest
from redis import Redis

from consumers.processes.embedded import EmbeddedServer

CHAT = "c4a70000-0000-4000-8000-000000000000"
ROOT = Path(__file__).parents[3]
FOLDER = ("--model-folder", str(ROOT / "examples" / "embed"))
ROUTES = str(ROOT / "examples" / "chat" / "routes.json")
FIRST = "0a1b0000-0000-4000-8000-000000000001"


class Shell:
    """Runs `routestream` commands against one deployment."""

    def __init__(self, url: str, namespace: str) -> None:
        self.environment = {
            **os.environ,
            "REDIS_URL": url,
            "ROUTESTREAM_NAMESPACE": namespace,
        }

    def __call__(
        self, *arguments: str, url: str | None = None
    ) -> "subprocess.CompletedProcess[str]":
        environment = self.environment | ({} if url is None else {"REDIS_URL": url})
        return subprocess.run(
            [sys.executable, "-P", "-m", "consumers", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def names(self) -> list[str]:
        """Return the types of all events in the log."""
        namespace = self.environment["ROUTESTREAM_NAMESPACE"]
        with Redis.from_url(self.environment["REDIS_URL"]) as client:
            entries = client.xrange(f"{{{namespace}:0}}:events")
        return [fields[b"name"].decode() for _, fields in entries]


@pytest.fixture
def shell(redis_url: str, namespace: str) -> Shell:
    return Shell(redis_url, namespace)


@pytest.fixture
def chat(shell: Shell) -> Shell:
    return with_chat(shell)


@pytest.fixture(scope="module")
def unchanged_chat(shared_server: EmbeddedServer) -> Shell:
    """For tests that change nothing."""
    return with_chat(Shell(shared_server.url, "unchanged-chat"))


def with_chat(shell: Shell) -> Shell:
    """Record the endpoint chat and its two routes; nothing projects them."""
    create = ("endpoints", "create", "chat", "--model", "m", "--id", CHAT)
    assert shell(*create, "--runtime-variant", "vllm", "--yes").returncode == 0
    assert shell("routes", "set", CHAT, ROUTES, "--yes").returncode == 0
    return shell


def test_creating_prints_the_plan_beside_and_the_id_alone(shell: Shell) -> None:
    done = shell("endpoints", "create", "chat", "--model", "m", "--yes")

    assert done.returncode == 0
    assert str(UUID(done.stdout.strip())) == done.stdout.strip()
    assert done.stderr.startswith("endpoint: none -> chat (model m, custom)\nappended ")
    assert shell.names() == ["endpoint_created"]


def test_a_model_folder_says_how_the_routes_are_checked(shell: Shell) -> None:
    folder = str(ROOT / "examples" / "embed")

    done = shell("endpoints", "create", "e", "--model", "m", "--model-folder", folder, "--yes")

    assert '"path":"/ready","interval":0.4,"max_retries":2' in done.stderr


def test_a_health_check_in_json_may_be_written_as_in_a_model_definition(shell: Shell) -> None:
    check = '{"path": "v1/models", "max-retries": "3", "interval": null}'
    done = shell("endpoints", "create", "e", "--model", "m", "--health-check", check, "--yes")
    assert '"path":"/v1/models","interval":10.0,"max_retries":3' in done.stderr
    off = '{"path": "/h", "enable": false}'
    done = shell("endpoints", "create", "f", "--model", "m", "--health-check", off, "--yes")
    assert done.returncode == 0
    assert "health check" not in done.stderr


def test_what_a_model_definition_says_in_vain_is_noted(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "model-definition.yaml").write_text(
        "models: [{name: m, info: {author: me}, service: {port: 80, command: serve}}]"
    )
    folder = ("--model-folder", str(tmp_path))
    done = shell("endpoints", "create", "e", "--model", "m", *folder, "--yes")
    assert done.returncode == 0
    assert "not used here: models[0].info, models[0].service.command\n" in done.stderr
    assert "no model has a health check, so the routes are not checked" in done.stderr


def test_without_a_terminal_and_without_yes_nothing_is_written(shell: Shell) -> None:
    done = shell("endpoints", "create", "chat", "--model", "m")

    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "Error: there is no terminal to ask at; add --yes to do it"
    )
    assert shell.names() == []
    assert shell("endpoints", "create", "chat", "--model", "m", "--yes").returncode == 0


@pytest.mark.parametrize(("answer", "code", "written"), [("y", 0, 1), ("n", 1, 0)])
def test_at_a_terminal_the_command_asks(shell: Shell, answer: str, code: int, written: int) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-P", "-m", "consumers", "endpoints", "create", "c", "--model", "m"]
    with subprocess.Popen(
        command, env=shell.environment, stdin=theirs, stderr=subprocess.PIPE
    ) as p:
        os.write(ours, f"{answer}\n".encode())
        assert p.wait(30) == code
    os.close(ours)
    os.close(theirs)

    assert len(shell.names()) == written


def test_an_interrupt_at_the_question_ends_the_command(shell: Shell) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-P", "-m", "consumers", "endpoints", "create", "c", "--model", "m"]
    with subprocess.Popen(
        command, env=shell.environment, stdin=theirs, stderr=subprocess.PIPE
    ) as p:
        assert p.stderr is not None
        told = b""
        while b"Do it?" not in told:
            told += os.read(p.stderr.fileno(), 4_096)
        while Path(f"/proc/{p.pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
            pass  # not yet waiting for the answer
        p.send_signal(signal.SIGINT)
        assert p.wait(30) == 130
        assert p.stderr.read().endswith(b"interrupted\n")
    os.close(ours)
    os.close(theirs)

    assert shell.names() == []


def test_every_command_records_its_event_once(chat: Shell) -> None:
    again = [
        chat("status", "record", CHAT, "0a1b", "unhealthy", "--reason", "lost", "--yes")
        for _ in range(2)
    ]
    chat("routes", "ratio", CHAT, "0a1b", "0.25", "--yes")
    off = chat("routes", "disable", CHAT, "0a1b", "--reason", "GPU swap", "--yes")
    whole = chat("routes", "disable", CHAT, "--reason", "moved", "--yes")
    chat("routes", "enable", CHAT, "0a1b", "--yes")
    terminated = chat("routes", "terminate", CHAT, "0c2d", "--yes")
    chat("endpoints", "update", CHAT, "--no-health-check", "--yes")
    chat("endpoints", "destroy", CHAT, "--yes")

    assert "weight 0.25 -> 10.0.0.1:8000" in off.stderr
    assert "weight 0.25, inactive: GPU swap" in off.stderr
    assert "traffic: active -> inactive: moved" in whole.stderr
    assert again[1].stderr == "nothing to record: it is so already\n"
    assert " stays in the list as terminating until its session" in terminated.stderr
    assert [done.returncode for done in again] == [0, 0]
    assert chat.names() == [
        "endpoint_created",
        "endpoint_route_list_updated",
        "route_started",
        "route_started",
        "model_service_status_updated",
        "route_traffic_ratio_updated",
        *["traffic_switched"] * 3,
        "route_terminating",
        "endpoint_health_check_updated",
        "endpoint_destroyed",
    ]


def test_a_route_given_by_its_address_keeps_its_id(chat: Shell) -> None:
    kept = chat("routes", "set", CHAT, "--route", "10.0.0.1:8000", "--yes")

    assert kept.stdout.split() == [FIRST]
    assert "10.0.0.2:8000" in kept.stderr
    assert "-> removed" in kept.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("routes", "ratio", CHAT, "0a1b", "2e6"), 2, "traffic_ratio: 2000000.0 is not allowed"),
        (("routes", "ratio", CHAT, "0a1b", "x"), 2, "'x' is not a valid float"),
        (("routes", "disable", CHAT, "0a1b"), 2, "Missing option '--reason'"),
        (("routes", "drain", CHAT, "0a1b"), 2, "Missing option '--reason'"),
        (("routes", "enable", CHAT, "ffff"), 3, "no route whose id begins with 'ffff'"),
        (("routes", "terminate", CHAT, ""), 2, "give at least 4 characters of its id"),
        (("routes", "ratio", CHAT, "ffff", "0.5"), 3, "no route whose id begins with 'ffff'"),
        (("routes", "ratio", CHAT, CHAT, "0.5"), 3, f"has no route {CHAT}"),
        (("routes", "terminate", FIRST, FIRST), 3, f"endpoint {FIRST} is not known"),
        (("routes", "set", CHAT), 2, "give either FILE or at least one --route"),
        (("routes", "set", CHAT, "/no/such/file"), 2, "No such file"),
        (("routes", "set", CHAT, str(ROOT / "README.md")), 2, "no JSON"),
        (("routes", "set", CHAT, "--route", "nowhere"), 2, "'nowhere' is not HOST:PORT"),
        (("status", "record", CHAT, "0a1b", "fine"), 2, "'fine' is not one of"),
        (("endpoints", "create", "c", "--model", "m", "--id", CHAT), 1, "exists already"),
        (("endpoints", "create", "c", "--model", "m", "--id", "x"), 2, "'x' is not a valid UUID"),
        (("endpoints", "create", "", "--model", "m"), 2, "name: '' is not allowed"),
        (("endpoints", "update", CHAT), 2, "give --health-check"),
        (
            ("endpoints", "update", CHAT, "--health-check", "{}"),
            2,
            "is empty; give at least a path",
        ),
        (
            ("endpoints", "update", CHAT, "--health-check", '{"path": "/h", "intervall": 5}'),
            2,
            "health_check.intervall: it is not known; did you mean interval?",
        ),
        (
            ("endpoints", "create", "v", "--model", "m", "--runtime-variant", "vllm", *FOLDER),
            2,
            "--model-folder would not be used: the runtime variant is vllm, and only custom",
        ),
        (
            ("endpoints", "update", CHAT, "--health-check", '{"path": "/", "interval": 0}'),
            2,
            "health_check.interval: 0 is not allowed",
        ),
        (("endpoints", "update", CHAT, "--model-folder", "/nope"), 3, "there is no file here"),
        (("events", "import", "--format", "backend-ai", "/no/such"), 2, "does not exist"),
        (("events", "import", "--format", "backend-ai", ROUTES), 2, "line 1"),
    ],
)
def test_bad_input_is_one_clear_line_and_writes_nothing(
    unchanged_chat: Shell, arguments: tuple[str, ...], code: int, told: str
) -> None:
    before = unchanged_chat.names()

    done = unchanged_chat(*arguments, *(() if arguments[1] == "import" else ("--yes",)))

    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("Error: ")]) == 1
    assert unchanged_chat.names() == before


@pytest.mark.parametrize(
    ("url", "code", "told"),
    [
        ("http://localhost", 2, "the Redis URL begins with no scheme"),
        ("redis://127.0.0.1:99999", 2, "the port of the Redis URL is not a number from 0 to 65535"),
        ("redis://user:secret", 2, "the port of the Redis URL is not a number"),
        ("redis://127.0.0.1:1", 4, "no Redis at 127.0.0.1:1: connection refused"),
        ("redis://user:secret@127.0.0.1:1", 4, "no Redis at 127.0.0.1:1: connection refused"),
        ("redis://no.such.host.invalid", 4, "no Redis at no.such.host.invalid:6379"),
    ],
)
def test_a_wrong_url_is_one_clear_line_without_the_password(
    shell: Shell, url: str, code: int, told: str
) -> None:
    create = ("endpoints", "create", "chat", "--model", "m", "--yes")
    for arguments in (create, ("endpoints", "ls"), ("consume", "route-table"), ("events", "tail")):
        done = shell(*arguments, url=url)

        assert done.returncode == code
        assert done.stderr.count("\n") == 1
        assert told in done.stderr
        assert "secret" not in done.stderr


def test_a_server_that_died_is_no_connection(own_server: EmbeddedServer) -> None:
    shell = Shell(own_server.url, "routestream")
    assert shell("endpoints", "create", "chat", "--model", "m", "--yes").returncode == 0
    own_server.kill()

    done = shell("endpoints", "create", "more", "--model", "m", "--yes")

    assert done.returncode == 4
    assert done.stderr.endswith("connection refused\n")


def test_settings_that_are_wrong_are_named(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("consumer:\n  block_ms: 0\n")

    wrong = shell("--config", str(file), "endpoints", "ls")
    unknown = shell("--config", str(tmp_path / "none.yaml"), "endpoints", "ls")

    assert (wrong.returncode, unknown.returncode) == (2, 2)
    assert "setting consumer.block_ms must be at least 10, got 0" in wrong.stderr
    assert "none.yaml" in unknown.stderr
