"""Model folders behind a storage proxy: a real HTTP server that answers as Backend.AI's does."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from consumers.processes.embedded import free_port
from events.plain_yaml import BYTES_MAX
from producers.errors import (
    InvalidModelDefinitionError,
    InvalidModelFolderError,
    ModelFolderError,
    ModelFolderGoneError,
    ModelFolderNotFoundError,
    ModelFolderUnreachableError,
)
from producers.model_definitions.model_definition_settings import ModelDefinitionSettings
from producers.model_definitions.model_folder import read_model_definition
from producers.model_definitions.storage_proxy import LIST_BYTES_MAX
from tests.producers.support.certificates import Authority
from tests.producers.support.storage_proxy import TOKEN, VFID, StorageProxy, storage_proxy
from tests.producers.test_model_definition import FULL, definition_of

SETTINGS = ModelDefinitionSettings(storage_proxy_token=TOKEN)
PORT = free_port()


@pytest.fixture
async def proxy() -> AsyncIterator[StorageProxy]:
    async with storage_proxy() as opened:
        yield opened


@pytest.mark.parametrize("name", ["model-definition.yaml", "model-definition.yml"])
async def test_the_definition_is_found_in_the_list_and_fetched(
    proxy: StorageProxy, name: str
) -> None:
    proxy.files = {"weights/model-definition.yaml": b"", "README.md": b"", name: FULL.encode()}
    checked = await read_model_definition(proxy.url(), SETTINGS)
    assert checked.usable == definition_of(FULL)
    assert checked.source == f"http://127.0.0.1:{proxy.port} {VFID}/{name}"
    assert proxy.calls == ["/folder/file/list .", f"/folder/file/fetch {name}"]


@pytest.mark.parametrize(
    ("path", "calls"),
    [
        ("v2", ["/folder/file/list v2", "/folder/file/fetch v2/model-definition.yaml"]),
        ("v2/", ["/folder/file/list v2", "/folder/file/fetch v2/model-definition.yaml"]),
        ("v2/model-definition.yaml", ["/folder/file/fetch v2/model-definition.yaml"]),
    ],
)
async def test_a_path_names_a_folder_or_a_file_within(
    proxy: StorageProxy, path: str, calls: list[str]
) -> None:
    proxy.files = {"model-definition.yaml": b"", "v2/model-definition.yaml": FULL.encode()}
    checked = await read_model_definition(proxy.url(path=path), SETTINGS)
    assert checked.usable == definition_of(FULL)
    assert proxy.calls == calls


async def test_yaml_comes_before_yml_and_a_folder_of_the_name_is_none(proxy: StorageProxy) -> None:
    proxy.files = {"model-definition.yml": b"", "model-definition.yaml": FULL.encode()}
    assert (await read_model_definition(proxy.url(), SETTINGS)).source.endswith(".yaml")
    proxy.files = {"model-definition.yaml/x": b"", "model-definition.yml": FULL.encode()}
    assert (await read_model_definition(proxy.url(), SETTINGS)).source.endswith(".yml")


@pytest.mark.parametrize(
    ("status", "body", "error", "problem"),
    [
        (410, b"", ModelFolderGoneError, r"the folder was deleted \(HTTP 410\)"),
        (404, b"", ModelFolderNotFoundError, r"no such folder or file \(HTTP 404\)"),
        (400, b'{"msg": "not here", "errno": 2}', ModelFolderNotFoundError, r"\(HTTP 400\)"),
        (400, b'{"msg": "not allowed", "errno": 13}', ModelFolderError, "HTTP 400: not allowed"),
        (500, b"<html>" + b"x" * 10_000, ModelFolderError, "answered HTTP 500$"),
        (302, b"", ModelFolderError, "answered HTTP 302$"),
        (204, b"", ModelFolderError, "answered HTTP 204$"),
        (200, b"<html>", ModelFolderError, "the list is not understood"),
        (200, b'{"items": [{}]}', ModelFolderError, "the list is not understood"),
        (200, b'{"items": []}', ModelFolderNotFoundError, "there is no model-definition.yaml or"),
        (200, b" " * (LIST_BYTES_MAX + 1), ModelFolderError, "more than 8388608 bytes"),
    ],
)
async def test_each_answer_that_is_no_definition_is_its_own_error(
    proxy: StorageProxy, status: int, body: bytes, error: type[ModelFolderError], problem: str
) -> None:
    proxy.status, proxy.body = status, body
    with pytest.raises(ModelFolderError, match=problem) as raised:
        await read_model_definition(proxy.url(), SETTINGS)
    assert type(raised.value) is error
    assert len(proxy.calls) == 1
    assert len(str(raised.value)) < 300


async def test_a_missing_file_is_not_found(proxy: StorageProxy) -> None:
    with pytest.raises(ModelFolderNotFoundError, match=r"other\.yaml: there is no such folder"):
        await read_model_definition(proxy.url(path="other.yaml"), SETTINGS)


async def test_a_wrong_token_is_said_without_showing_it(proxy: StorageProxy) -> None:
    wrong = ModelDefinitionSettings(storage_proxy_token="wrong-one")  # noqa: S106 - wrong
    with pytest.raises(ModelFolderError, match=r"set model_definition\.storage_proxy_token") as e:
        await read_model_definition(proxy.url(), wrong)
    assert "wrong-one" not in f"{e.value} {wrong!r}"


async def test_a_file_that_is_too_large_is_refused_after_its_first_megabyte(
    proxy: StorageProxy,
) -> None:
    proxy.files = {"model-definition.yaml": b"#" * (BYTES_MAX * 3)}
    checked = await read_model_definition(proxy.url(), SETTINGS)
    with pytest.raises(InvalidModelDefinitionError, match="more than 1048576 bytes"):
        _ = checked.usable


async def test_a_proxy_that_hangs_is_left_in_time(proxy: StorageProxy) -> None:
    proxy.hangs = True
    settings = msgspec.structs.replace(SETTINGS, timeout_s=0.2)
    with pytest.raises(ModelFolderUnreachableError, match=r"did not answer within 0\.2 s"):
        await read_model_definition(proxy.url(), settings)


async def test_a_proxy_that_is_not_there_is_unreachable() -> None:
    url = f"http://127.0.0.1:{PORT}?volume=v&vfid=f"
    with pytest.raises(ModelFolderUnreachableError, match="no answer from the storage proxy"):
        await read_model_definition(url, SETTINGS)


async def test_a_proxy_with_a_certificate_of_its_own_authority_is_read_over_tls(
    tmp_path: Path,
) -> None:
    authority, stranger = Authority(), Authority()
    ours, theirs = tmp_path / "ours.pem", tmp_path / "theirs.pem"
    ours.write_text(authority.pem)
    theirs.write_text(stranger.pem)
    async with storage_proxy(authority.server_context(tmp_path, "127.0.0.1")) as proxy:
        proxy.files = {"model-definition.yaml": FULL.encode()}
        trusting = msgspec.structs.replace(SETTINGS, storage_proxy_ca_file=str(ours))
        assert (await read_model_definition(proxy.url(), trusting)).mistakes == ()
        for file in ("", str(theirs)):
            wrong = msgspec.structs.replace(SETTINGS, storage_proxy_ca_file=file)
            with pytest.raises(ModelFolderUnreachableError, match="certificate is not trusted"):
                await read_model_definition(proxy.url(), wrong)
        calls = len(proxy.calls)
    assert calls == 2


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_a_file_without_certificates_is_refused(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    settings = msgspec.structs.replace(SETTINGS, storage_proxy_ca_file=str(file))
    with pytest.raises(ModelFolderError, match=r"^model_definition\.storage_proxy_ca_file .*pem: "):
        await read_model_definition(f"http://127.0.0.1:{PORT}?volume=v&vfid=f", settings)


async def test_a_compressed_answer_is_not_unpacked(proxy: StorageProxy) -> None:
    proxy.status, proxy.body = 200, gzip.compress(b'{"items": []}')
    proxy.headers = {"Content-Encoding": "gzip"}
    with pytest.raises(ModelFolderError, match="the list is not understood"):
        await read_model_definition(proxy.url(), SETTINGS)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://", "the URL of a model folder is"),
        ("http://h:99999?volume=v&vfid=f", "the URL of a model folder is"),
        ("http://user:SECRET@h?volume=v&vfid=f", "without a login"),
        ("https://h", "must have volume and vfid"),
        ("http://h?volume=v", "must have volume and vfid"),
        ("http://h?volume=v&vfid=", "must have volume and vfid"),
        ("http://h?volume=v&vfid=f&vfid=g", "each once"),
        ("http://h?volume=v&vfid=f&file=x", "and no more"),
        ("http://h?volume=v&vfid=f&path=../x", r"path: '\.\./x' leads out of the folder"),
        ("http://h?volume=v&vfid=f&path=a/../../x", "leads out"),
        ("http://h?volume=v&vfid=f&path=/etc", "leads out"),
    ],
)
async def test_a_url_that_names_no_folder_is_refused(url: str, problem: str) -> None:
    with pytest.raises(InvalidModelFolderError, match=problem) as raised:
        await read_model_definition(url, SETTINGS)
    assert "SECRET" not in str(raised.value)
