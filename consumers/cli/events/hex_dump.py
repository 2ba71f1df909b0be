"""The hex dump: bytes as they are, sixteen a line, with the characters that they stand for."""

from collections.abc import Iterator

_BYTES = 16
_PRINTABLE = range(0x20, 0x7F)


def hex_dump(raw: bytes) -> Iterator[str]:
    """Yield the lines: the place of the first byte, the bytes, the characters."""
    for start in range(0, len(raw), _BYTES):
        line = raw[start : start + _BYTES]
        shown = "".join(chr(byte) if byte in _PRINTABLE else "." for byte in line)
        yield f"{start:08x}  {line.hex(' '):{3 * _BYTES - 1}}  {shown}"
