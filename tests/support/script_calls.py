"""The call of a script: what a request has in it that runs one of our Lua scripts."""

from hashlib import sha1

from events.server.script import script_text


def call_of(package: str, name: str) -> bytes:
    """Return the digest by which clients call the script *name* of *package*."""
    return sha1(script_text(package, name).encode(), usedforsecurity=False).hexdigest().encode()
