"""What the four packages offer: every name is there, every error that a caller may catch."""

import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from consumers.processes.started_program import NotStartedError
from consumers.publishers.backend_ai.coordinator_api import RefusedCallError
from consumers.publishers.envoy.discovery_request import InvalidDiscoveryRequestError
from consumers.publishers.router.router_api import RefusedWorkerError
from consumers.publishers.router.worker_set import NotOneEndpointError
from consumers.runtime.interruption import HistoryAwaitedError
from events.plain_yaml import UnreadableYamlError
from events.plugins import InvalidPluginError
from events.server.connection import NoEntryError, SlotMovedError
from events.server.pool import NeverSentError
from producers.checker.address_policy import AddressRefusedError
from producers.checker.probes.probe_failure import NoAnswerError
from producers.model_definitions.requested_health_check import InvalidHealthCheckError
from projections.read_model.follower import HeldBackError, OutOfStepError

PACKAGES = ("events", "projections", "producers", "consumers")
OFFERING = (*PACKAGES, "events.archive", "events.move", "events.transfer", "producers.backend_ai")

NOT_FOR_CALLERS: dict[type[Exception], str] = {
    InvalidPluginError: "kept as a BrokenPlugin, by the catalogue that skips the plugin",
    NoEntryError: "becomes NotAdmittedError",
    AddressRefusedError: "becomes the reason of a probe",
    NoAnswerError: "becomes the reason of a probe",
    InvalidHealthCheckError: "becomes InvalidModelDefinitionError, or InvalidEventError",
    NeverSentError: "becomes ServerUnavailableError",
    SlotMovedError: "becomes ServerUnavailableError, if following it led nowhere",
    UnreadableYamlError: "becomes InvalidSettingsError, or InvalidModelDefinitionError",
    HistoryAwaitedError: "waited out by the consumer whose projector raises it",
    RefusedCallError: "becomes a refusal in the proxy's notes",
    RefusedWorkerError: "becomes a refusal in the router's notes",
    NotOneEndpointError: "becomes a refusal in the router's notes",
    InvalidDiscoveryRequestError: "becomes the answer 400",
    OutOfStepError: "caught by the follower that raises it",
    NotStartedError: "caught by the starter of each program, which says why it did not start",
    HeldBackError: "caught by the follower that raises it, and shown as its reader's state",
}
HEAVY = {"aiohttp", "anyio", "asyncio", "click", "redis", "rich", "structlog", "textual", "yaml"}


def modules(package: str) -> Iterator[ModuleType]:
    """Yield the modules of *package*, but for the command line, which nobody calls from Python."""
    root = importlib.import_module(package)
    yield root
    for found in pkgutil.walk_packages(root.__path__, f"{package}."):
        if not (found.name.endswith("__main__") or found.name.startswith("consumers.cli.")):
            yield importlib.import_module(found.name)


def errors_of(module: ModuleType) -> Iterator[type[Exception]]:
    """Yield the public errors that are defined in *module*."""
    for name, value in vars(module).items():
        if (
            isinstance(value, type)
            and issubclass(value, Exception)
            and value.__module__ == module.__name__
            and not name.startswith("_")
        ):
            yield value


def is_offered(error: type[Exception]) -> bool:
    """Whether the package that the error is defined in, or one around it, offers it by name."""
    folder, _, _ = error.__module__.rpartition(".")
    while folder:
        package = importlib.import_module(folder)
        if error.__name__ in getattr(package, "__all__", ()):
            return getattr(package, error.__name__) is error
        folder, _, _ = folder.rpartition(".")
    return False


@pytest.mark.parametrize("package", PACKAGES)
def test_every_error_that_a_caller_may_catch_is_offered_beside_what_raises_it(package: str) -> None:
    found = {error for module in modules(package) for error in errors_of(module)}
    assert len(found) > 3
    hidden = {error for error in found - NOT_FOR_CALLERS.keys() if not is_offered(error)}
    assert sorted(f"{error.__module__}.{error.__name__}" for error in hidden) == []


def test_no_error_is_kept_from_callers_that_is_offered() -> None:
    assert [error.__name__ for error in NOT_FOR_CALLERS if is_offered(error)] == []


@pytest.mark.parametrize("package", OFFERING)
def test_every_name_that_a_package_offers_is_there(package: str) -> None:
    program = f"import {package} as p; print([n for n in p.__all__ if not hasattr(p, n)])"
    assert output_of(program) == "[]"


@pytest.mark.parametrize("package", PACKAGES)
def test_a_name_that_is_nowhere_is_an_attribute_error(package: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nowhere'"):
        importlib.import_module(package).nowhere  # noqa: B018 - looking it up is the test


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_loads_no_client_and_no_command_line_before_they_are_used(package: str) -> None:
    program = f"import sys, {package}; print(sorted({HEAVY!r} & sys.modules.keys()))"
    assert output_of(program) == "[]"


def test_the_command_starts_without_the_event_types() -> None:
    program = "import sys, consumers.cli.program; print('events.catalogue.route' in sys.modules)"
    assert output_of(program) == "False"


def test_the_log_in_memory_loads_no_client() -> None:
    program = f"import sys, events.testing; print(sorted({HEAVY!r} & sys.modules.keys()))"
    assert output_of(program) == "['anyio']"


def output_of(program: str) -> str:
    command = [sys.executable, "-P", "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
