"""What a client sees of one endpoint while its routes, and the servers around it, come and go."""

from uuid import UUID, uuid4

from events.catalogue.endpoint import EndpointCreatedEvent
from events.catalogue.health_check import HealthCheck
from tests.consumers.publishers.support.appproxy_stage import Stage, model_servers
from tests.support.projectors import rebuild


async def create(stage: Stage, name: str) -> UUID:
    """Create an endpoint whose routes get traffic once they are healthy."""
    event = EndpointCreatedEvent(
        endpoint_id=uuid4(),
        name=name,
        model="any",
        open_to_public=True,
        health_check=HealthCheck(path="/"),
    )
    await stage.service.create(event)
    return event.endpoint_id


async def live_through_restarts(stage: Stage, none: str) -> None:
    """Live through all of it; *none* is the answer where there is no route."""
    service = stage.service
    async with model_servers("one", "two") as routes:
        first, second = (route.route_id for route in routes)
        async with stage.publishing():
            other, chat = await create(stage, "other"), await create(stage, "chat")
            await service.set_route_list(chat, routes)
            await stage.until_answered_by(chat, none)
            for route in routes:
                await service.record_status(chat, route.route_id, "healthy")
            await stage.until_answered_by(chat, "one", "two")

            await service.record_status(chat, first, "unhealthy")
            await stage.until_answered_by(chat, "two")
            await service.record_status(chat, first, "healthy")
            await stage.until_answered_by(chat, "one", "two")

            await service.switch_traffic(chat, second, "inactive")
            await stage.until_answered_by(chat, "one")
            await service.switch_traffic(chat, None, "inactive")
            await stage.until_answered_by(chat, none)
            await service.switch_traffic(chat, None, "active")
            await service.switch_traffic(chat, second, "active")
            await stage.until_answered_by(chat, "one", "two")

            stage.proxy.coordinator.kill()
            await service.set_traffic_ratio(chat, second, 0)
            stage.proxy.coordinator.start()
            await stage.until_answered_by(chat, "one")

            stage.proxy.worker.kill()
            stage.proxy.worker.start()
            await stage.until_answered_by(chat, "one")
            await service.set_traffic_ratio(chat, second, 1)
            await stage.until_answered_by(chat, "one", "two")

        await service.record_status(chat, first, "unhealthy")
        assert (await stage.answers(chat)).keys() == {"one", "two"}  # nobody has told it
        async with stage.publishing():
            await stage.until_answered_by(chat, "two")
            await rebuild(stage.log)
            await service.record_status(chat, first, "healthy")
            await stage.until_answered_by(chat, "one", "two")

        await service.destroy(chat)
        async with stage.publishing():
            await stage.until_gone(chat)
            await service.destroy(other)
            await stage.until_gone(other)
