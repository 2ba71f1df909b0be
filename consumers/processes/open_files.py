"""Let a process open the files that its settings allow for: each connection is one."""

import resource

from events.structured_logger import structured_logger

_log = structured_logger(__name__)

OTHERS = 256
"""Files that a process opens beside those that are asked for."""


def allow_open_files(wanted: int) -> None:
    """Raise the process's own limit where it is too low for *wanted* files and some others.

    The administrator's limit stays: where that is too low, too, it is said once.
    """
    needed = wanted + OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if allowed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < needed:
        _log.warning("open_files_limited", needed=needed, allowed=allowed)
