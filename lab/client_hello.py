"""What a TLS client offers, read from the first octets that it sends."""

from __future__ import annotations

import socket
import struct
import time
from typing import Any

SUPPORTED_VERSIONS = 43


def peek(conn: socket.socket) -> dict[str, Any] | None:
    """The ClientHello that waits on a connection, which stays unread; None if there is none."""
    end = time.monotonic() + 5
    record = b""
    while time.monotonic() < end:
        record = conn.recv(65536, socket.MSG_PEEK)
        if not record:
            return None
        if record[0] != 22 or len(record) >= 5 and len(record) >= 5 + _number(record[3:5]):
            break
        time.sleep(0.002)
    return parse(record)


def parse(record: bytes) -> dict[str, Any]:
    """Numbers as in the registries of RFC 8446; only `record_type` if it is no TLS record."""
    found: dict[str, Any] = {"record_type": record[0]}
    if record[0] != 22 or len(record) < 44:
        return found
    rest = record[9:]                               # after the heads of record and message
    version, rest = _number(rest[:2]), rest[34:]    # after the random
    _session, rest = _cut(rest, 1)
    suites, rest = _cut(rest, 2)
    compressions, rest = _cut(rest, 1)
    extensions: dict[int, bytes] = {}
    rest = _cut(rest, 2)[0] if rest else b""
    while rest:
        kind = _number(rest[:2])
        extensions[kind], rest = _cut(rest[2:], 2)
    versions = [version]
    if SUPPORTED_VERSIONS in extensions:
        versions = _numbers(extensions[SUPPORTED_VERSIONS][1:])
    return {**found, "versions": versions, "suites": _numbers(suites),
            "compressions": list(compressions), "extensions": list(extensions)}


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _numbers(data: bytes) -> list[int]:
    return list(struct.unpack(f"!{len(data) // 2}H", data))


def _cut(data: bytes, width: int) -> tuple[bytes, bytes]:
    """What a length of `width` octets counts, and what is behind it."""
    end = width + _number(data[:width])
    return data[width:end], data[end:]
