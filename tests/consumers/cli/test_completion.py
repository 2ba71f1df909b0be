"""What a shell offers for an unfinished word: asked in the shells that this machine has."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from consumers.cli.completion import SHELLS
from events import EndpointCreatedEvent, EventLog
from projections.read_model.store import ReadModelStore
from projections.replay.build import build
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.terminal import ROUTESTREAM, environment_of, in_shell
from tests.support.waiting import wait_until

CHAT = UUID("7ccd26ec-0000-4000-8000-000000000001")
EVIL = UUID("e0bed000-0000-4000-8000-000000000002")


@pytest.fixture
def environment(redis_url: str, namespace: str) -> dict[str, str]:
    return environment_of(redis_url, namespace)


@pytest.fixture(scope="module", autouse=True)
def script(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep bash's script where a shell finds it, as a person would."""
    file = tmp_path_factory.mktemp("completions") / "routestream.bash"
    made = subprocess.run([ROUTESTREAM, "completion", "bash"], capture_output=True, check=True)
    file.write_bytes(made.stdout)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPLETION_SCRIPT", str(file))
        yield


async def offered(environment: dict[str, str], *words: str) -> list[str]:
    """Return what bash offers for the last of *words*."""
    line = " ".join(f"'{word}'" for word in ("routestream", *words))
    done = await in_shell(
        'source "$COMPLETION_SCRIPT"; complete -p routestream >/dev/null || exit 1;'
        f"COMP_WORDS=({line}); COMP_CWORD={len(words)};"
        ' _routestream_completion routestream; printf "%s\\n" "${COMPREPLY[@]}"',
        environment,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


async def until_offered(wanted: list[str], environment: dict[str, str], *words: str) -> None:
    """What is looked up on the server is not waited for: a busy machine may offer nothing."""

    async def is_offered() -> bool:
        found = await offered(environment, *words)
        assert found in (wanted, [])
        return found == wanted

    await wait_until(is_offered, f"{wanted} is offered", timeout_s=60.0)


async def test_bash_completes_commands_options_and_choices(environment: dict[str, str]) -> None:
    assert await offered(environment, "str") == ["streams"]
    assert await offered(environment, "events", "ta") == ["tail"]
    assert await offered(environment, "events", "tail", "--wh") == ["--where"]
    assert await offered(environment, "events", "tail", "-o", "js") == ["json", "jsonl"]
    assert await offered(environment, "events", "stats", "--by", "m") == ["minute"]


async def test_bash_completes_names_of_groups_and_types(environment: dict[str, str]) -> None:
    assert await offered(environment, "consume", "route") == ["route-table"]
    assert await offered(environment, "dead", "ls", "h") == ["health-state"]
    assert await offered(environment, "events", "tail", "--type", "endpoint_d") == [
        "endpoint_destroyed"
    ]


async def test_bash_completes_runtime_variants_and_an_operators_own(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "variants.yaml").write_text("llama-ours: {port: 80}\nllama$(reboot):\n")
    words = ("endpoints", "create", "--runtime-variant", "lla")
    assert await offered(environment, *words) == ["llama-cpp"]
    variable = "ROUTESTREAM_MODEL_DEFINITION_RUNTIME_VARIANTS_FILE"
    environment = {**environment, variable: str(tmp_path / "variants.yaml")}
    assert await offered(environment, *words) == ["llama-cpp", "llama-ours"]
    environment[variable] = str(tmp_path / "none.yaml")
    assert await offered(environment, *words) == []


@pytest.mark.parametrize("words", ["endpoints update x --model-folder", "model-definition check"])
async def test_bash_is_told_to_complete_files_and_folders_itself(
    environment: dict[str, str], words: str
) -> None:
    asked = {
        **environment,
        "COMP_WORDS": f"routestream {words} exa",
        "COMP_CWORD": str(len(words.split()) + 1),
        "_ROUTESTREAM_COMPLETE": "bash_complete",
    }
    assert (await in_shell("routestream", asked)).stdout == "file,exa\n"


async def test_bash_completes_endpoints_by_name_and_id(
    log: EventLog, environment: dict[str, str]
) -> None:
    await log.append(EndpointCreatedEvent(endpoint_id=CHAT, name="chat", model="m"))
    await log.append(EndpointCreatedEvent(endpoint_id=EVIL, name="chat;$(reboot)", model="m"))
    await build(log, ReadModelStore(log.server, log.keys, ROUTE_TABLE, 0))
    await until_offered(["chat"], environment, "endpoints", "show", "ch")
    await until_offered([str(CHAT)], environment, "endpoints", "show", "7cc")
    await until_offered([str(EVIL)], environment, "events", "tail", "--endpoint", "e0")
    assert await offered(environment, "events", "tail", "--endpoint", "ch") == []


async def test_without_a_server_nothing_is_offered_and_nobody_waits(
    environment: dict[str, str],
) -> None:
    # Of these two nobody is behind the first, which is kept for documentation.
    for url in ("redis://192.0.2.1:6379", "redis://127.0.0.1:1"):
        there = {**environment, "REDIS_URL": url}
        assert await offered(there, "endpoints", "show", "ch") == []
    assert await offered(environment, "endpoints", "show", "ch") == []


@pytest.mark.parametrize("shell", SHELLS)
async def test_the_script_of_every_shell_is_one_that_it_reads(
    environment: dict[str, str], shell: str
) -> None:
    done = await in_shell(f"routestream completion {shell}", environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "_ROUTESTREAM_COMPLETE" in done.stdout
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} on this machine")
    parsed = await in_shell(f"routestream completion {shell} | {shell} -n", environment)
    assert (parsed.returncode, parsed.stderr) == (0, "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
async def test_zsh_and_fish_are_offered_the_same_words(
    environment: dict[str, str], shell: str
) -> None:
    """Ask as their scripts ask, whether the shells are here or not."""
    asked = {
        **environment,
        "COMP_WORDS": "routestream consume route",
        "COMP_CWORD": "2" if shell == "zsh" else "route",
        "_ROUTESTREAM_COMPLETE": f"{shell}_complete",
    }
    done = await in_shell("routestream", asked)
    assert "route-table" in done.stdout.replace(",", " ").split(), json.dumps(done.stdout)
