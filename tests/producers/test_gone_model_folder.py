"""An endpoint outlives its model's folder: only its creation reads it."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from events import EndpointCreatedEvent, EndpointDestroyedEvent
from events.testing import MemoryLog
from producers import EndpointService, ModelFolderGoneError
from producers.model_definitions.model_definition_settings import ModelDefinitionSettings
from tests.producers.support.storage_proxy import TOKEN, StorageProxy, storage_proxy
from tests.producers.test_model_definition import FULL, definition_of
from tests.support.histories import E, created

SETTINGS = ModelDefinitionSettings(storage_proxy_token=TOKEN)
CREATED = msgspec.structs.replace(created(), runtime_variant="custom", health_check=None)


@pytest.fixture
async def proxy() -> AsyncIterator[StorageProxy]:
    async with storage_proxy() as opened:
        opened.files = {"model-definition.yaml": FULL.encode()}
        yield opened


async def test_an_endpoint_is_destroyed_though_its_folder_is_gone(proxy: StorageProxy) -> None:
    log = MemoryLog()
    service = EndpointService(log)
    await service.create_from_model_folder(CREATED, proxy.url(), SETTINGS)
    calls = len(proxy.calls)
    proxy.status = 410
    await service.destroy(E)
    first, last = [one.event async for one in log.read()]
    assert isinstance(first, EndpointCreatedEvent)
    assert first.health_check == definition_of(FULL).health_check
    assert isinstance(last, EndpointDestroyedEvent)
    assert len(proxy.calls) == calls


async def test_an_endpoint_is_not_created_from_a_folder_that_is_gone(proxy: StorageProxy) -> None:
    log = MemoryLog()
    proxy.status = 410
    with pytest.raises(ModelFolderGoneError, match="was deleted"):
        await EndpointService(log).create_from_model_folder(CREATED, proxy.url(), SETTINGS)
    assert [one async for one in log.read()] == []


async def test_the_folder_of_another_variant_is_not_read(proxy: StorageProxy) -> None:
    log = MemoryLog()
    event = msgspec.structs.replace(CREATED, runtime_variant="llama-cpp")
    await EndpointService(log).create_from_model_folder(event, proxy.url(), SETTINGS)
    [recorded] = [one.event async for one in log.read()]
    assert isinstance(recorded, EndpointCreatedEvent)
    assert recorded.health_check is not None
    assert (recorded.health_check.max_retries, proxy.calls) == (30, [])


async def test_an_unknown_variant_is_warned_about_and_not_checked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = MemoryLog()
    event = msgspec.structs.replace(CREATED, runtime_variant="triton")
    await EndpointService(log).create_from_model_folder(event, FULL.encode())
    [recorded] = [one.event async for one in log.read()]
    assert isinstance(recorded, EndpointCreatedEvent)
    assert recorded.health_check is None
    [warning] = [one for one in caplog.records if one.levelname == "WARNING"]
    assert "runtime_variant_unknown" in warning.getMessage()
    assert "vllm" in warning.getMessage()
