"""The keys of a command: where among its words they stand, as far as they are ours to send."""

from collections.abc import Sequence
from typing import Any

_SCRIPTS = ("EVAL", "EVALSHA")
_READS = ("XREAD", "XREADGROUP")
_WITH_SUBCOMMAND = ("XINFO", "XGROUP", "MEMORY", "OBJECT")


def keys_of(command: Sequence[Any]) -> list[str]:
    """Return the keys that *command* names; of one without any, what stands first."""
    words = [*_text(command[0]).split(), *command[1:]]
    name = words[0].upper()
    if name in _SCRIPTS:
        keys = words[3 : 3 + int(words[2])]
    elif name in _READS:
        streams = words[words.index("STREAMS") + 1 :]
        keys = streams[: len(streams) // 2]
    else:
        at = 2 if name in _WITH_SUBCOMMAND else 1
        keys = words[at : at + 1]
    return [_text(key) for key in keys]


def _text(word: object) -> str:
    return word.decode("utf-8", "backslashreplace") if isinstance(word, bytes) else str(word)
