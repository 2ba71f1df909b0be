"""The reply: what the server answers has the type that its caller names, or is refused."""

import pytest

from events import EventLog
from events.errors import ServerRefusedError, UnexpectedReplyError
from events.server.reply import reply, reply_entries, reply_or_none, reply_streams


async def test_a_reply_has_the_type_that_is_named(log: EventLog) -> None:
    call, key = log.server.client.call, log.keys.heads(0)
    await call("HSET", key, "a", "1", "b", "2")
    assert reply(await call("HLEN", key), int) == 2
    assert reply(await call("HGET", key, "a"), bytes) == b"1"
    assert reply(await call("HGETALL", key), dict[bytes, bytes]) == {b"a": b"1", b"b": b"2"}
    assert reply(await call("HMGET", key, "a", "c"), list[bytes | None]) == [b"1", None]
    assert reply_or_none(await call("HGET", key, "c"), bytes) is None


async def test_a_reply_of_another_type_is_refused_with_both(log: EventLog) -> None:
    call, key = log.server.client.call, log.keys.heads(0)
    await call("HSET", key, "a", "1")
    with pytest.raises(UnexpectedReplyError, match="Expected `int`, got `bytes`"):
        reply(await call("HGET", key, "a"), int)
    with pytest.raises(UnexpectedReplyError, match="Expected `bytes`, got `null`"):
        reply(await call("HGET", key, "c"), bytes)
    with pytest.raises(UnexpectedReplyError, match="length 3"):
        reply(await call("HMGET", key, "a", "b"), tuple[bytes, bytes, bytes])
    assert issubclass(UnexpectedReplyError, ServerRefusedError)


async def test_entries_are_what_a_range_or_a_read_answers(log: EventLog) -> None:
    call, stream = log.server.client.call, log.keys.events(0)
    for entry_id in ("1-0", "2-0"):
        await call("XADD", stream, entry_id, "field", "value")
    entries = reply_entries(await call("XRANGE", stream, "-", "+"))
    fields = [b"field", b"value"]
    assert [tuple(one) for one in entries] == [(b"1-0", fields), (b"2-0", fields)]
    [(key, [entry])] = reply_streams(await call("XREAD", "COUNT", 1, "STREAMS", stream, "1-0"))
    assert (key, *entry) == (stream.encode(), b"2-0", fields)


async def test_a_read_that_waited_in_vain_found_nothing(log: EventLog) -> None:
    call, stream = log.server.client.call, log.keys.events(0)
    assert reply_streams(await call("XREAD", "BLOCK", 1, "STREAMS", stream, "$")) == []
    assert reply_entries(None) == ()


async def test_a_reply_that_is_no_list_holds_no_entries(log: EventLog) -> None:
    call = log.server.client.call
    with pytest.raises(UnexpectedReplyError, match="a list was expected, not int"):
        reply_entries(await call("EXISTS", log.keys.heads(0)))
