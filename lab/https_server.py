"""A scripted HTTPS server: what it answers to a GET, with which certificate, how slowly."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Sequence

from lab.dns_server import Reactor


@dataclass
class HttpsServer:
    """Listens on port 443 of `addresses`. `raw`: the whole answer instead of status, type, body."""

    addresses: Sequence[str]
    pem: Path
    body: bytes = b""
    status: str = "200 OK"
    content_type: str = "text/plain"
    headers: Sequence[str] = ()
    raw: bytes | None = None
    endless: bool = False       # goes on and on with what it sends
    delay: float = 0            # seconds before the answer
    trickle: float = 0          # seconds between two octets of it
    requests: list[bytes] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)  # SNI
    open: int = 0
    most: int = 0               # open at a time

    def __post_init__(self) -> None:
        self._servers: list[Any] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.pem)
        self._context.sni_callback = lambda _socket, name, _context: self.names.append(name)

    def start(self) -> None:
        Reactor.call(self._start())

    def wait(self) -> None:
        pass  # start() returns when the sockets are open

    def stop(self) -> None:
        Reactor.call(self._stop())

    async def _start(self) -> None:
        for address in self.addresses:
            self._servers.append(await asyncio.start_server(self._serve, address, 443,
                                                            ssl=self._context))

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()

    def _answer(self) -> bytes:
        if self.raw is not None:
            return self.raw
        lines = [f"HTTP/1.1 {self.status}", "Connection: close", *self.headers]
        if self.content_type:
            lines.append(f"Content-Type: {self.content_type}")
        if not self.endless:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode() + self.body

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            await asyncio.sleep(self.delay)
            if self.trickle:
                for octet in self._answer():
                    writer.write(bytes([octet]))
                    await writer.drain()
                    await asyncio.sleep(self.trickle)
                return
            writer.write(self._answer())
            while self.endless and not writer.is_closing():
                await writer.drain()
                writer.write(b"x" * 65536)
                await asyncio.sleep(0)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self.open -= 1
            writer.close()
