"""The errors with which a command is refused; each message says what to do."""

from collections.abc import Collection
from uuid import UUID


class ProducersError(Exception):
    """Base class: a producer cannot record what it was asked to."""


class UnknownEndpointError(ProducersError):
    """No event was ever recorded for the endpoint."""

    def __init__(self, endpoint_id: UUID) -> None:
        super().__init__(
            f"endpoint {endpoint_id} is not known; `endpoints ls` shows those that are"
        )


class EndpointExistsError(ProducersError):
    """The endpoint was created before."""

    def __init__(self, endpoint_id: UUID) -> None:
        super().__init__(f"endpoint {endpoint_id} exists already; update it, or create another")


class NameTakenError(ProducersError):
    """Another endpoint has the name, or is being created with it."""

    def __init__(self, name: str, endpoint_id: UUID) -> None:
        super().__init__(
            f"the name {name!r} is that of endpoint {endpoint_id};"
            " choose another, or destroy that endpoint first"
        )
        self.endpoint_id = endpoint_id


class EndpointDestroyedError(ProducersError):
    """The endpoint was destroyed; nothing brings it back."""

    def __init__(self, endpoint_id: UUID) -> None:
        super().__init__(f"endpoint {endpoint_id} was destroyed; create another one")


class UnknownRouteError(ProducersError):
    """The endpoint has no such route."""

    def __init__(self, endpoint_id: UUID, route_id: UUID) -> None:
        super().__init__(
            f"endpoint {endpoint_id} has no route {route_id}; `endpoints show` lists its routes"
        )


class RouteExistsError(ProducersError):
    """The endpoint has the route already."""

    def __init__(self, endpoint_id: UUID, route_id: UUID) -> None:
        super().__init__(f"endpoint {endpoint_id} has route {route_id} already")


class RouteEndedError(ProducersError):
    """The route is terminating or has ended; it gets no traffic any more."""

    def __init__(self, route_id: UUID, status: str) -> None:
        super().__init__(f"route {route_id} is {status}; create another one")


class UnknownRevisionError(ProducersError):
    """No route of the revision is there to take traffic."""

    def __init__(self, endpoint_id: UUID, revision: str, known: Collection[str]) -> None:
        named = ", ".join(repr(one) for one in sorted(known)) or "none"
        super().__init__(
            f"endpoint {endpoint_id} has no route with the label revision={revision}; its living"
            f" routes have {named}"
        )


class NothingToShareError(ProducersError):
    """No other revision has a share that it could keep."""

    def __init__(self, endpoint_id: UUID, revision: str, percent: float) -> None:
        super().__init__(
            f"endpoint {endpoint_id} has no other revision that could have {percent:g} % of the"
            f" traffic beside {revision!r}; give it 100 %, or start routes of another revision"
        )


class NoRolloutError(ProducersError):
    """The traffic split has nothing to go back to."""

    def __init__(self, endpoint_id: UUID) -> None:
        super().__init__(
            f"the traffic of endpoint {endpoint_id} is no step of a rollout that it could go back"
            " from; give another revision its share instead"
        )


class InvalidModelDefinitionError(ProducersError):
    """A model definition cannot be used; the message names the file and the field."""


class InvalidRuntimeVariantsError(ProducersError):
    """The operator's file of runtime variants cannot be used; the message names its mistakes."""


class ModelFolderError(ProducersError):
    """A model folder cannot be read; the message says where and why."""


class InvalidModelFolderError(ModelFolderError):
    """What is given names no model folder: a URL lacks a part, or a path leads out of it."""


class ModelFolderNotFoundError(ModelFolderError):
    """There is no such folder, or no model definition in it."""


class ModelFolderGoneError(ModelFolderError):
    """The folder was deleted: the storage proxy answers 410.

    Whoever ends an endpoint goes on in spite of it: nothing of its folder is needed for that.
    """


class ModelFolderUnreachableError(ModelFolderError):
    """The storage proxy does not answer, or not in time."""


class ContendedEndpointError(ProducersError):
    """Others kept changing the endpoint faster than a decision could be made."""


class BacklogError(ProducersError):
    """The projectors' backlog is too large to decide a command on the current state."""
