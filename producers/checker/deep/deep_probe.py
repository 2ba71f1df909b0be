"""Ask a model server for one token."""

import errno
from collections.abc import Mapping
from typing import Any

import aiohttp
import anyio
import msgspec
from yarl import URL

from events.catalogue.deep_check import DeepCheck, DeepPreset
from producers.checker.probe import Address, ProbeSession
from producers.checker.probe_result import ProbeCause, ProbeResult

ANSWER_BYTES_MAX = 65_536
"""Bytes of an answer that are read; one token with all around it takes a few hundred."""

_PROMPT = "1"
_PATHS: Mapping[DeepPreset, str] = {
    "openai_completions": "/v1/completions",
    "openai_chat": "/v1/chat/completions",
}
_NO_TIMEOUTS = aiohttp.ClientTimeout(total=None, sock_connect=None)
_LACKING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Completion(msgspec.Struct, frozen=True):
    """What is read of an answer."""

    choices: list[Any]


_DECODER = msgspec.json.Decoder(Completion)


async def deep_probe(
    session: ProbeSession,
    address: Address,
    check: DeepCheck,
    model: str | None,
    headers: Mapping[str, str],
) -> ProbeResult:
    """Ask the route's model for one token, and wait for at most the check's `max_wait_time`.

    A success is a status of 200 and an answer with at least one choice. A failure of the route does
    not raise. Where nobody waits any longer, the request is given up towards the route, too.

    Args:
        session: What probes are made with.
        address: Where the route answers.
        check: What is asked.
        model: The endpoint's model, which is asked for where the check names none.
        headers: Further headers of the request.
    """
    path = check.path or _PATHS[check.preset]
    url = URL(f"http://route{path}").with_host(address.host).with_port(address.port)
    try:
        with anyio.fail_after(check.max_wait_time):
            async with session.http.post(
                url,
                json=_asked(check, model),
                allow_redirects=False,
                headers={"User-Agent": "routestream", **headers},
                timeout=_NO_TIMEOUTS,
            ) as response:
                return await _judged(response)
    except TimeoutError:
        return _failed(f"no token within {check.max_wait_time:g} s", "answer_timeout")
    except aiohttp.ClientConnectorError as error:
        if error.os_error.errno in _LACKING:
            return _failed("this machine lacks files or memory", "lacking")
        is_refused = error.os_error.errno == errno.ECONNREFUSED
        return _failed("cannot connect", "refused" if is_refused else "unreachable")
    except (aiohttp.ClientError, OSError):
        return _failed("connection closed without an answer", "reset")


def _asked(check: DeepCheck, model: str | None) -> dict[str, object]:
    name = check.model or model
    asked: dict[str, object] = {} if name is None else {"model": name}
    if check.preset == "openai_chat":
        asked["messages"] = [{"role": "user", "content": _PROMPT}]
    else:
        asked["prompt"] = _PROMPT
    return asked | {"max_tokens": 1, "temperature": 0, "stream": False}


async def _judged(response: aiohttp.ClientResponse) -> ProbeResult:
    if response.status != 200:
        return _failed(f"HTTP {response.status}, expected 200", "status")
    body = b""
    while len(body) <= ANSWER_BYTES_MAX and (part := await response.content.readany()):
        body += part
    try:
        answer = _DECODER.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return _failed("its answer is no completion", "body")
    if not answer.choices:
        return _failed("its answer has no token", "body")
    return ProbeResult(success=True)


def _failed(reason: str, cause: ProbeCause) -> ProbeResult:
    return ProbeResult(success=False, reason=reason, cause=cause)
