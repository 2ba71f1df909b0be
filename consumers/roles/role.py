"""The roles: which keys of a deployment each may read or write, and by which commands."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from types import MappingProxyType

import msgspec

from events.log.keys import NAMESPACE, check_namespace

CONNECTING = ("client|setinfo", "client|setname", "ping", "select")
"""What a connection may send before its first command; each role has them."""

OF_CLUSTER = ("asking", "cluster|slots", "readonly")
"""What finding the node of a key takes in a Redis Cluster; each role has them."""

GRANTED = "granted.json"
"""The file with the commands of each role; `tests/consumers/roles` writes and checks it."""


class Role(msgspec.Struct, frozen=True):
    """What an account is for.

    Attributes:
        about: What runs under it, in one line.
        writes: Patterns of the keys that it may change, and read; `NS` is the namespace.
        reads: Patterns of those that it may only read.
        commands: What its programs send, and what their scripts call.
    """

    about: str
    writes: Sequence[str]
    reads: Sequence[str]
    commands: Sequence[str]

    def rules(self, namespace: str) -> list[str]:
        """Return what is allowed in *namespace*, as ACL SETUSER takes it."""
        patterns = [f"~{pattern}" for pattern in self.writes]
        patterns += [f"%R~{pattern}" for pattern in self.reads]
        commands = sorted({*self.commands, *CONNECTING, *OF_CLUSTER})
        return [
            *(pattern.replace("NS", namespace) for pattern in patterns),
            *(f"+{command}" for command in commands),
        ]


def _of_partitions(*names: str) -> list[str]:
    return [f"{{NS:[0-9]*}}:{name}" for name in names]


_OF_PROCESSES = ("NS:processes", "NS:processes-changed")
_SHARED = (
    *(f"NS:{name}" for name in ("layout", "names", "checkers", "proxies", "moving")),
    *_OF_PROCESSES,
)
_EVERYTHING = (*_of_partitions("*"), *_SHARED)
_OF_APPEND = _of_partitions("events", "heads", "event-ids", "seal")


_GRANTED = msgspec.json.decode(
    files("consumers.roles").joinpath(GRANTED).read_bytes(), type=dict[str, tuple[str, ...]]
)

ROLES: Mapping[str, Role] = MappingProxyType(
    {
        "producer": Role(
            "appends events to a log that exists",
            (*_OF_APPEND, "NS:names"),
            (*_of_partitions("identity"), "NS:layout"),
            _GRANTED["producer"],
        ),
        "consumer": Role(
            "`consume GROUP`: reads, folds, acknowledges; what backend-ai reads is appended",
            (*_of_partitions("*"), "NS:layout", "NS:names", *_OF_PROCESSES),
            ("NS:checkers", "NS:proxies", "NS:moving"),
            _GRANTED["consumer"],
        ),
        "reader": Role(
            "proxies that read the tables, and every command that only looks",
            (),
            _EVERYTHING,
            _GRANTED["reader"],
        ),
        "checker": Role(
            "`checkers run`: probes, and records what has changed",
            (
                *(*_OF_APPEND, *_of_partitions("probed", "probe-results")),
                *("NS:checkers", "NS:processes"),
            ),
            _EVERYTHING,
            _GRANTED["checker"],
        ),
        "publisher": Role(
            "`publish`: reads the tables, and notes what each proxy has acknowledged",
            (*_of_partitions("requests", "failed-requests"), "NS:proxies", "NS:processes"),
            _EVERYTHING,
            _GRANTED["publisher"],
        ),
        "keeper": Role(
            "`consume life-cycle`, `consume retention`, `archive run`, `snapshot take`",
            (*_of_partitions("*"), "NS:processes"),
            _EVERYTHING,
            _GRANTED["keeper"],
        ),
        "operator": Role(
            "a person at the command line, who also creates the log",
            _EVERYTHING,
            (),
            _GRANTED["operator"],
        ),
    }
)
"""The roles by their names."""


def user_line(
    names: Sequence[str],
    namespace: str = NAMESPACE,
    user: str | None = None,
    password: str | None = None,
) -> str:
    """Return the line of an ACL file for an account that has these roles.

    It leaves passwords that the account has as they are, so it changes an account, too.

    Args:
        names: The roles; each after the first is a selector of its own, so that none of them
            widens another.
        namespace: The deployment.
        user: The account's name; else `routestream-` and its roles.
        password: A password that it gets; the line has its SHA-256.
    """
    own, *others = (ROLES[name].rules(check_namespace(namespace)) for name in names)
    words = ["user", user or f"routestream-{'-'.join(names)}", "on"]
    if password is not None:
        words.append(f"#{sha256(password.encode()).hexdigest()}")
    cleared = ("clearselectors", "resetkeys", "resetchannels", "-@all")
    selectors = [f"({' '.join(rules)})" for rules in others]
    return " ".join([*words, *cleared, *own, *selectors])
