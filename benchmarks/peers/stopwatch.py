"""Measures one part of a process: by the clock, and by the CPU time of this process and the server.

Used on both sides of a comparison, so it imports nothing of ours.
"""

from collections.abc import Mapping
from time import perf_counter, process_time

import msgspec
from redis import Redis


class Stopwatch:
    """From its making to `stop`.

    Args:
        url: The server whose CPU time is counted, too.
    """

    def __init__(self, url: str) -> None:
        self._server = Redis.from_url(url)
        self._server_s = self._used_s()
        self._began_at, self._client_s = perf_counter(), process_time()

    def stop(self, events: int) -> dict[str, float]:
        """Return events a second, and microseconds of CPU time for each, here and in the server."""
        took_s, client_s = perf_counter() - self._began_at, process_time() - self._client_s
        server_s = self._used_s() - self._server_s
        self._server.close()
        return {
            "per_second": events / took_s,
            "client_us": client_s / events * 1e6,
            "server_us": server_s / events * 1e6,
        }

    def _used_s(self) -> float:
        used = self._server.info("cpu")
        return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def print_figures(figures: Mapping[str, float]) -> None:
    """Print what was measured, as the one who started this process reads it."""
    print(msgspec.json.encode(figures).decode(), flush=True)
