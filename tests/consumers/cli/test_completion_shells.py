"""What zsh and fish themselves offer for an unfinished word, with their scripts where they lie."""

import shutil
import subprocess
from pathlib import Path
from uuid import UUID

import pytest

from events import EndpointCreatedEvent, EventLog
from projections.read_model.store import ReadModelStore
from projections.replay.build import build
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.terminal import ROUTESTREAM, environment_of, in_shell, run_in_terminal

CHAT = UUID("7ccd26ec-0000-4000-8000-000000000001")

ZSHRC = """
LISTMAX=10000
fpath=($ZDOTDIR $fpath)
autoload -Uz compinit
compinit -u -d $ZDOTDIR/dump
compadd() {
  [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]] && { builtin compadd "$@"; return }
  local -a offered
  builtin compadd -A offered "$@"
  (( $#offered )) && print -rl -- $offered >> $ZDOTDIR/offered
  builtin compadd "$@"
}
zle-line-init() {
  BUFFER=$TYPED
  CURSOR=$#BUFFER
  zle complete-word
  print -r -- "$BUFFER" > $ZDOTDIR/line
  BUFFER=exit
  zle accept-line
}
zle -N zle-line-init
"""
"""Writes down what is offered for `$TYPED`, and what the line is after one tab."""


@pytest.fixture
async def environment(log: EventLog, redis_url: str, namespace: str) -> dict[str, str]:
    await log.append(EndpointCreatedEvent(endpoint_id=CHAT, name="chat", model="m"))
    await build(log, ReadModelStore(log.server, log.keys, ROUTE_TABLE, 0))
    return environment_of(redis_url, namespace)


@pytest.fixture
def zsh(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    _keep_script("zsh", tmp_path / "_routestream")
    (tmp_path / ".zshrc").write_text(ZSHRC)
    return {**environment, "ZDOTDIR": str(tmp_path)}


@pytest.fixture
def fish(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    folder = tmp_path / "fish" / "completions"
    folder.mkdir(parents=True)
    _keep_script("fish", folder / "routestream.fish")
    return {**environment, "XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}


def _keep_script(shell: str, file: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} on this machine")
    made = subprocess.run([ROUTESTREAM, "completion", shell], capture_output=True, check=True)
    file.write_bytes(made.stdout)


async def by_zsh(environment: dict[str, str], typed: str) -> tuple[list[str], str]:
    """Return what zsh offers, and the line that it makes of *typed*."""
    folder = Path(environment["ZDOTDIR"])
    (folder / "offered").write_text("")
    drawn = await run_in_terminal(["zsh", "-i"], {**environment, "TYPED": typed}, 100)
    assert (folder / "line").exists(), drawn
    return (folder / "offered").read_text().split(), (folder / "line").read_text().rstrip("\n")


async def by_fish(environment: dict[str, str], typed: str) -> list[str]:
    done = await in_shell("fish -c 'complete -C \"$TYPED\"'", {**environment, "TYPED": typed})
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("routestream str", ["streams"]),
        ("routestream events tail -o js", ["json", "jsonl"]),
        ("routestream events tail --where 'name == \"x\"' --ty", ["--type"]),
        ("routestream consume route", ["route-table"]),
        ("routestream check --group health", ["health-state"]),
        ("routestream events tail --type endpoint_d", ["endpoint_destroyed"]),
        ("routestream endpoints show ch", ["chat"]),
        ("routestream --url redis://127.0.0.1:1 endpoints show ch", []),
    ],
)
async def test_zsh_and_fish_offer_what_there_is(
    zsh: dict[str, str], fish: dict[str, str], typed: str, words: list[str]
) -> None:
    offered, _ = await by_zsh(zsh, typed)
    assert sorted(offered) == words
    assert [line.partition("\t")[0] for line in await by_fish(fish, typed)] == words


async def test_a_value_is_set_behind_the_option_that_it_is_written_together_with(
    zsh: dict[str, str], fish: dict[str, str]
) -> None:
    typed = "routestream events tail --endpoint=7cc"
    assert await by_zsh(zsh, typed) == (
        [str(CHAT)],
        f"routestream events tail --endpoint={CHAT} ",
    )
    assert await by_fish(fish, typed) == [f"--endpoint={CHAT}\tchat, pending"]


async def test_fish_shows_what_a_command_does_also_beyond_a_comma(fish: dict[str, str]) -> None:
    [line] = await by_fish(fish, "routestream streams sh")
    assert line.startswith("show\tShow one stream: its groups, who")
