"""Plugins: what installed packages add to the events, the projections and the groups.

A package lists what it adds as entry points. Nothing is imported before it is needed, and a plugin
that cannot be used is skipped and kept with the reason, for a report.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from threading import RLock
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from events.errors import EventsError

EVENTS = "routestream.events"
PROJECTIONS = "routestream.projections"
HANDLERS = "routestream.handlers"
PUBLISHERS = "routestream.publishers"

OURS = "routestream"
"""The owner of all that is shipped."""

_NAME = re.compile(r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*")
_NAME_CHARACTERS_MAX = 64

T = TypeVar("T")


class InvalidPluginError(EventsError):
    """A plugin is not what its entry point promises."""


class BrokenPlugin(msgspec.Struct, frozen=True):
    """A plugin that is skipped.

    Attributes:
        kind: The entry-point group in which it was found, such as `routestream.events`.
        name: The entry point's name.
        owner: The package that brings it, with its version.
        why: What is wrong with it.
    """

    kind: str
    name: str
    owner: str
    why: str

    def __str__(self) -> str:
        return f"plugin {self.name} ({self.kind}) of {self.owner} is skipped: {self.why}"


class Installed(NamedTuple, Generic[T]):
    """What a plugin stands for, and the package that brings it."""

    owner: str
    value: T


_lock = RLock()
_broken: list[BrokenPlugin] = []


def broken_plugins() -> tuple[BrokenPlugin, ...]:
    """Return the broken plugins of the catalogues that were loaded until now."""
    return tuple(_broken)


class Catalogue(Mapping[str, T]):
    """All there is of one kind, by name: what is shipped, then what installed packages add.

    The packages are searched when a name is requested that is not shipped, or when all are listed,
    but only once in the life of a process.

    Attributes:
        shipped: What is available without any package.
    """

    def __init__(
        self,
        kind: str,
        shipped: Mapping[str, T],
        check: Callable[[str, Any], T],
        follows: "Callable[[], Mapping[str, Installed[T]]]" = dict,
    ) -> None:
        """Make the catalogue of *kind*.

        Args:
            kind: The entry points that add to it.
            shipped: What is available without any package.
            check: Returns the loaded object if an entry point of that name may stand for it;
                raises an error that says why not.
            follows: Loads the catalogues that this one builds on, and returns what follows from
                them.
        """
        self._kind = kind
        self.shipped = MappingProxyType(dict(shipped))
        self._check = check
        self._follows = follows
        self._installed: dict[str, Installed[T]] | None = None

    def __getitem__(self, name: str) -> T:
        if name in self.shipped:
            return self.shipped[name]
        return self.installed[name].value

    def __iter__(self) -> Iterator[str]:
        yield from self.shipped
        yield from self.installed

    def __len__(self) -> int:
        return len(self.shipped) + len(self.installed)

    def owner_of(self, name: str) -> str:
        """Return the package that brings *name*, with its version."""
        return OURS if name in self.shipped else self.installed[name].owner

    @property
    def installed(self) -> Mapping[str, Installed[T]]:
        """What packages add."""
        with _lock:
            if self._installed is None:
                self._installed = {}  # a plugin that asks while it is imported sees what is shipped
                self._installed |= self._follows()
                for entry_point in _entry_points(self._kind):
                    self._add(entry_point, self._installed)
            return self._installed

    def _add(self, entry_point: EntryPoint, found: dict[str, Installed[T]]) -> None:
        owner = _owner(entry_point)
        try:
            found[entry_point.name] = Installed(owner, self._usable(entry_point, owner))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything
            is_ours = isinstance(error, InvalidPluginError)
            why = str(error) if is_ours else f"{type(error).__name__}: {error}"
            _broken.append(BrokenPlugin(self._kind, entry_point.name, owner, why))

    def _usable(self, entry_point: EntryPoint, owner: str) -> T:
        name = entry_point.name
        if any(plugin.kind == EVENTS and plugin.owner == owner for plugin in _broken):
            # The plugin would take its own events for an unknown type, and skip them for good.
            raise InvalidPluginError("an event type of the same package is broken")
        if not _NAME.fullmatch(name) or len(name) > _NAME_CHARACTERS_MAX:
            raise InvalidPluginError(
                f"the name {name!r} must be at most {_NAME_CHARACTERS_MAX} lower-case letters and"
                " digits, joined by - or _"
            )
        if name in self:
            raise InvalidPluginError(f"the name {name!r} is taken by {self.owner_of(name)}")
        return self._check(name, entry_point.load())


def _entry_points(kind: str) -> list[EntryPoint]:
    """Return the entry points in an order that does not depend on where packages lie."""
    return sorted(entry_points(group=kind), key=lambda point: (_owner(point), point.name))


def _owner(entry_point: EntryPoint) -> str:
    package = entry_point.dist
    return "an unnamed package" if package is None else f"{package.name} {package.version}"
