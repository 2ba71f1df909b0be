"""Rendezvous hashing: lets processes that know the same members share work without talking."""

from hashlib import blake2b


def weight(key: bytes, member: str) -> bytes:
    """Return how much *key*, of at most 64 bytes, belongs to *member*; the greatest weight wins.

    It is the same in every process, and independent for every pair: so a member that joins takes
    about an equal share from each of the others, and one that leaves passes it back to them.
    """
    return blake2b(member.encode(), digest_size=8, key=key).digest()
