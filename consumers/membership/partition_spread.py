"""Decides which of the living processes of a group consumes which partition."""

from collections.abc import Collection, Mapping

from events.rendezvous import weight


def spread(partitions: int, members: Collection[str]) -> Mapping[int, str]:
    """Return the member that each partition belongs to, for at least one member.

    The same *members*, in any order, always give the same. No member has over one partition more
    than another. Where one joins or leaves, few partitions move beside those that have to.
    """
    share, more = divmod(partitions, len(members))
    pairs = sorted(
        (
            (weight(b"%d" % one, member), member, one)
            for one in range(partitions)
            for member in members
        ),
        reverse=True,
    )
    counts = dict.fromkeys(members, 0)
    found: dict[int, str] = {}
    for _, member, partition in pairs:
        if partition in found or counts[member] >= share + (more > 0):
            continue
        counts[member] += 1
        more -= counts[member] > share
        found[partition] = member
    return found


def partitions_of(
    member: str, partitions: int, members: Collection[str], *, shares_freely: bool
) -> frozenset[int]:
    """Return the partitions that *member* consumes, where *members*, it among them, live.

    Where there are more members than partitions, some have none of their own. They stand by; where
    the group *shares_freely*, each reads one partition beside its owner.
    """
    own = frozenset(one for one, owner in spread(partitions, members).items() if owner == member)
    if own or not shares_freely:
        return own
    return frozenset({max(range(partitions), key=lambda one: weight(b"%d" % one, member))})
