"""`model-definition check`, and endpoints that are created from a model's folder."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from consumers.cli.endpoints.record import create, destroy, update
from consumers.cli.model_definition.model_definition import check
from events import EventLog
from producers.model_definitions.model_definition_settings import ModelDefinitionSettings
from tests.consumers.support.commands import Commands, end_of
from tests.producers.support.storage_proxy import TOKEN, StorageProxy, storage_proxy
from tests.producers.test_checked_definition import MISTAKEN

CHAT = UUID("7ccd26ec-0000-4000-8000-000000000001")
CREATE = ("chat", "--model", "llama-3", "--id", str(CHAT), "--yes", "--model-folder")
GOOD = b"models: [{name: m, model_path: /m, service: {port: 80, health_check: {path: /up}}}]"


@pytest.fixture
async def proxy(run: Commands) -> AsyncIterator[StorageProxy]:
    async with storage_proxy() as opened:
        opened.files = {"model-definition.yaml": GOOD}
        run.configure(model_definition=ModelDefinitionSettings(storage_proxy_token=TOKEN))
        yield opened


async def names(log: EventLog) -> list[bytes]:
    return [entry.fields[b"name"] async for part in log.read_entries(0) for entry in part]


async def test_what_would_be_used_is_printed(run: Commands, tmp_path: Path) -> None:
    (tmp_path / "model-definition.yml").write_bytes(GOOD)
    result = await run(check, str(tmp_path))
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert result.exit_code == 0, result.output
    assert lines[1:4] == ["usable yes", "variant custom", "port 80"]
    assert lines[4].startswith("health check /up every 10s, 200 within 15s; unhealthy after 10 ")
    assert "m /m 80 /up every 10s," in lines[7]
    assert "SEVERITY" not in result.stdout


async def test_all_mistakes_are_printed_and_the_exit_code_is_1(
    run: Commands, tmp_path: Path
) -> None:
    file = tmp_path / "any.yaml"
    file.write_text(MISTAKEN)
    result = await run(check, str(file))
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert lines[:2] == [f"source {file}", "usable no: mend its mistakes first"]
    assert len(lines) == 4 + 15
    assert lines[5] == "mistake 5 7 models[0].service.port 0 is not allowed: Expected `int` >= 1"


async def test_the_same_is_printed_as_json(run: Commands, tmp_path: Path) -> None:
    file = tmp_path / "any.yaml"
    file.write_text(MISTAKEN)
    result = await run(check, str(file), "-o", "json")
    printed = json.loads(result.stdout)
    assert (result.exit_code, printed["is_usable"], printed["models"]) == (1, False, [])
    assert len(printed["problems"]) == 15
    assert printed["problems"][1] == {
        "severity": "mistake",
        "field": "models[0].service.port",
        "problem": "0 is not allowed: Expected `int` >= 1",
        "line": 5,
        "column": 7,
    }


@pytest.mark.parametrize(
    ("variant", "path", "warning"),
    [
        ("vllm", "/health", "the health check is not used: that of the runtime variant vllm is"),
        ("triton", None, "runtime variant 'triton' is not known, so its routes are not checked"),
    ],
)
async def test_the_variant_decides_what_is_in_force(
    run: Commands, tmp_path: Path, variant: str, path: str | None, warning: str
) -> None:
    (tmp_path / "model-definition.yml").write_bytes(GOOD)
    result = await run(check, str(tmp_path), "--runtime-variant", variant, "-o", "json")
    printed = json.loads(result.stdout)
    assert (result.exit_code, (printed["health_check"] or {}).get("path")) == (0, path)
    [problem] = printed["problems"]
    assert problem["problem"].startswith(warning)


async def test_an_operators_variant_is_in_force(run: Commands, tmp_path: Path) -> None:
    (tmp_path / "variants.yaml").write_text("triton: {port: 8001, health_check: {path: /ready}}")
    file = str(tmp_path / "variants.yaml")
    run.configure(model_definition=ModelDefinitionSettings(runtime_variants_file=file))
    (tmp_path / "any.yaml").write_text("models: [{name: m}]")
    words = (str(tmp_path / "any.yaml"), "--runtime-variant", "triton", "-o", "json")
    printed = json.loads((await run(check, *words)).stdout)
    assert (printed["port"], printed["health_check"]["path"]) == (8001, "/ready")
    assert printed["problems"] == []


@pytest.mark.parametrize(
    ("source", "status", "code"),
    [
        ("{folder}", None, 3),
        ("{folder}/none.yaml", None, 3),
        ("http://nowhere", None, 2),
        ("http://127.0.0.1:1?volume=v&vfid=f", None, 4),
        ("{proxy}", 410, 3),
        ("{proxy}", 404, 3),
        ("{proxy}", 500, 1),
    ],
)
async def test_what_cannot_be_read_has_the_exit_code_of_its_cause(
    run: Commands,
    proxy: StorageProxy,
    tmp_path: Path,
    *,
    source: str,
    status: int | None,
    code: int,
) -> None:
    proxy.status = status
    result = await run(check, source.format(folder=tmp_path, proxy=proxy.url()))
    assert (end_of(result), result.stdout) == (code, "")


async def test_an_endpoint_outlives_its_folder_behind_a_storage_proxy(
    log: EventLog, run: Commands, proxy: StorageProxy
) -> None:
    result = await run(create, *CREATE, proxy.url())
    assert (result.exit_code, '"path":"/up"' in result.stderr) == (0, True), result.output
    proxy.status = 410
    calls = len(proxy.calls)
    words = (str(CHAT), "--yes")
    assert end_of(await run(update, *words, "--model-folder", proxy.url())) == 3
    assert len(proxy.calls) == calls + 1
    assert (await run(destroy, *words)).exit_code == 0
    assert len(proxy.calls) == calls + 1
    assert await names(log) == [b"endpoint_created", b"endpoint_destroyed"]


async def test_what_contradicts_itself_or_is_unknown_is_noted(
    run: Commands, tmp_path: Path
) -> None:
    (tmp_path / "model-definition.yaml").write_bytes(GOOD.replace(b"/up", b"/up, interval: 2"))
    result = await run(create, *CREATE, str(tmp_path))
    assert "note: " in result.stderr
    assert "max_wait_time: the wait of 15 s is longer than the interval of 2 s" in result.stderr
    words = ("other", "--model", "m", "--runtime-variant", "triton", "--yes")
    result = await run(create, *words)
    assert result.exit_code == 0, result.output
    assert "note: runtime variant 'triton' is not known" in result.stderr
