"""Ask a model server for one token."""

from collections.abc import Mapping
from typing import Any

import aiohttp
import anyio
import msgspec
from msgspec.structs import replace

from events.catalogue.deep_check import DeepCheck, DeepPreset
from events.catalogue.health_check import HealthCheck
from producers.checker.probe import ProbeSession
from producers.checker.probe_result import ProbeResult
from producers.checker.probes.address import Address
from producers.checker.probes.http_probe import Attempt, request_headers, request_url
from producers.checker.probes.probe_failure import EXPECTED_ERRORS, failure, failure_of
from producers.checker.probes.tls_context import server_name, tls_context

ANSWER_BYTES_MAX = 65_536
"""Bytes of an answer that are read; one token with all around it takes a few hundred."""

_PROMPT = "1"
_PATHS: Mapping[DeepPreset, str] = {
    "openai_completions": "/v1/completions",
    "openai_chat": "/v1/chat/completions",
}


class Completion(msgspec.Struct, frozen=True):
    """What is read of an answer."""

    choices: list[Any]


_DECODER = msgspec.json.Decoder(Completion)


async def deep_probe(
    session: ProbeSession, address: Address, check: HealthCheck, deep: DeepCheck, model: str | None
) -> ProbeResult:
    """Ask the route's model for one token, and wait for at most the deep check's `max_wait_time`.

    A success is a status of 200 and an answer with at least one choice. Headers and TLS are those
    of the cheap probes. A failure of the route does not raise. Where nobody waits any longer, the
    request is given up towards the route, too. The result is counted, as a probe of kind `deep`.

    Args:
        session: What probes are made with.
        address: Where the route answers.
        check: How the endpoint's routes are probed.
        deep: What is asked.
        model: The endpoint's model, which is asked for where the deep check names none.
    """
    began_at = anyio.current_time()
    result = await _probed(session, address, check, deep, model)
    result = replace(result, duration_s=anyio.current_time() - began_at)
    session.tally.count("deep", result)
    return result


async def _probed(
    session: ProbeSession, address: Address, check: HealthCheck, deep: DeepCheck, model: str | None
) -> ProbeResult:
    attempt = Attempt()
    try:
        with anyio.fail_after(deep.max_wait_time):
            async with session.http.fresh.post(
                request_url(address, check, deep.path or _PATHS[deep.preset]),
                json=_asked(deep, model),
                allow_redirects=False,
                headers=request_headers(check),
                timeout=aiohttp.ClientTimeout(total=None, connect=check.connect_timeout),
                trace_request_ctx=attempt,
                ssl=True if check.tls is None else tls_context(check.tls),
                server_hostname=None if check.tls is None else server_name(check, address.host),
            ) as response:
                return await _judged(response)
    except EXPECTED_ERRORS as error:
        if isinstance(error, TimeoutError) and attempt.connected:
            return failure("answer_timeout", f"no token within {deep.max_wait_time:g} s")
        return failure_of(error, check, connected=attempt.connected)


def _asked(deep: DeepCheck, model: str | None) -> dict[str, object]:
    name = deep.model or model
    asked: dict[str, object] = {} if name is None else {"model": name}
    if deep.preset == "openai_chat":
        asked["messages"] = [{"role": "user", "content": _PROMPT}]
    else:
        asked["prompt"] = _PROMPT
    return asked | {"max_tokens": 1, "temperature": 0, "stream": False}


async def _judged(response: aiohttp.ClientResponse) -> ProbeResult:
    if response.status != 200:
        return failure("status", f"HTTP {response.status}, expected 200")
    body = b""
    while len(body) <= ANSWER_BYTES_MAX and (part := await response.content.readany()):
        body += part
    try:
        answer = _DECODER.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return failure("body", "its answer is no completion")
    if not answer.choices:
        return failure("body", "its answer has no token")
    return ProbeResult(success=True)
