"""The commands that the code calls, read from its text: Python's literals and the Lua scripts."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from events.server.script import script_text
from tests.test_architecture import OURS, ROOT, SCRIPTS, nodes

CONTAINERS = {"ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "MEMORY", "SENTINEL"}
CONTAINERS |= {"SCRIPT", "XGROUP", "XINFO"}
"""Commands that an ACL allows by their subcommands."""

_IN_LUA = re.compile(r"(?<!== )'([A-Z]{3,})(?:'?,? '?([A-Z]{3,}))?'")
_SIZES = re.compile(r"local SIZE_OF = \{.*?\}", re.DOTALL)
_SIZE = re.compile(r"(?:\['([a-z ]+)'\]|(\w+)) = '([A-Z]+)'")
_KIND = re.compile(r"check_writes\([^,]+, '([a-z ]+)'")
_WORDS = re.compile(r"[A-Z]{3,}( [A-Z]{3,})?")


SCRIPT_PLACES = tuple(
    (path.relative_to(ROOT).as_posix(), ".".join(path.relative_to(ROOT).parts[:-2]), path.stem)
    for path in SCRIPTS
)
"""The place of each script, its package and its name."""


@cache
def commands_of_script(package: str, name: str) -> frozenset[str]:
    """Return what a script may call, with the parts that it includes."""
    text = script_text(package, name)
    sizes = _SIZES.search(text)
    sized = {kind or word: size for kind, word, size in _SIZE.findall(sizes[0] if sizes else "")}
    asked = {sized[kind] for kind in _KIND.findall(text)}
    named = {_named(*found) for found in _IN_LUA.findall(_SIZES.sub("", text))}
    return frozenset({*named, *map(str.lower, asked)})


def commands_of_module(path: Path) -> Iterator[str]:
    """Yield what looks like a command in *path*: a literal that a call or a tuple begins with."""
    for node in nodes(path):
        literals = _first_literals(node)
        if literals and _WORDS.fullmatch(literals[0]):
            yield _named(*(*" ".join(literals[:2]).split(), "")[:2])


def _first_literals(node: ast.AST) -> list[str]:
    match node:
        case ast.Call(args=found) | ast.Tuple(elts=found) | ast.List(elts=found):
            pass
        case _:
            return []
    literals: list[str] = []
    for one in found[:2]:
        inner = one.value if isinstance(one, ast.Starred) else one
        if isinstance(inner, ast.Tuple) and not literals:
            return _first_literals(inner)
        if not (isinstance(inner, ast.Constant) and isinstance(inner.value, str)):
            break
        literals.append(inner.value)
    return literals


def _named(name: str, subcommand: str = "") -> str:
    """Return a command as an ACL names it."""
    return f"{name}|{subcommand}".lower() if name in CONTAINERS and subcommand else name.lower()


def commands_at(*places: str, besides: tuple[str, ...] = ()) -> set[str]:
    """Return what modules and scripts at *places* call, but not those at the places *besides*.

    A place is a folder, a file, or the beginning of some. What looks like a command is among them.
    """

    def is_meant(place: str) -> bool:
        return place.startswith(places) and not place.startswith(besides)

    modules = [path for path in OURS if is_meant(path.relative_to(ROOT).as_posix())]
    called = {one for path in modules for one in commands_of_module(path)}
    for place, package, name in SCRIPT_PLACES:
        if is_meant(place):
            called |= {*commands_of_script(package, name), "eval", "evalsha"}
    return called
