"""Small pictures as PNG, for pages that load nothing."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence

Colour = tuple[int, int, int]


def data_uri(pixels: Sequence[Sequence[Colour]]) -> str:
    """A picture as the address of an image in a page; the rows have one length."""
    return "data:image/png;base64," + base64.b64encode(encoded(pixels)).decode()


def encoded(pixels: Sequence[Sequence[Colour]]) -> bytes:
    """A picture of 8 bits for each of red, green and blue (W3C, Portable Network Graphics)."""
    header = struct.pack(">IIBBBBB", len(pixels[0]), len(pixels), 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + bytes(value for pixel in row for value in pixel) for row in pixels)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
