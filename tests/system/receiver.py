"""The receiver without a sender behind it (tests/receive/driver.c), and clients that misbehave."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import subprocess
import warnings
from pathlib import Path
from typing import Any

from lab import certs
from lab.namespace import HOME

DRIVER = Path(os.environ.get("DANEWAY", HOME / "build/daneway")).parent / \
    "tests/receive/receive_driver"


class Receiver:
    """Runs while the `with` block does. `config` as tests/receive/driver.c reads it."""

    def __init__(self, where: Path, **config: Any) -> None:
        self.where = where
        self.config: dict[str, Any] = {
            "hostname": "mx.example.org", "postmaster": "postmaster@example.org",
            "domains": [{"name": "example.org"}],
            "listeners": [{"name": "mx", "kind": "mx"}], "limits": {}, **config}
        self.ports: dict[str, int] = {}

    def write_config(self) -> Path:
        path = self.where / "config.json"
        path.write_text(json.dumps(self.config))
        return path

    def certificate(self, **how: Any) -> Receiver:
        path = str(certs.self_signed("mx.example.org", **how).write(self.where / "mx.pem"))
        self.config["certificates"] = [{"chain": path, "key": path}]
        return self

    def __enter__(self) -> Receiver:
        self.log = open(self.where / "log", "wb")
        self.child = subprocess.Popen(
            [DRIVER, self.where / "store", self.write_config()], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.ports.update(self.answer())
        return self

    def __exit__(self, *_: object) -> None:
        if self.child.poll() is None:
            assert self.child.stdin
            self.child.stdin.close()
            self.child.wait(30)
        self.log.close()
        text = self.log_text()
        assert self.child.returncode == 0 and "ERROR: AddressSanitizer" not in text, text[-4000:]

    def log_text(self) -> str:
        return (self.where / "log").read_text(errors="replace")

    def events(self, name: str) -> list[str]:
        return [line for line in self.log_text().splitlines() if f"event={name}" in line]

    def answer(self) -> Any:
        assert self.child.stdout
        line = self.child.stdout.readline()
        assert line, self.log_text()[-4000:]
        return json.loads(line)

    def send(self, command: str) -> None:
        assert self.child.stdin
        self.child.stdin.write(command + "\n")
        self.child.stdin.flush()

    def ask(self, command: str) -> Any:
        self.send(command)
        return self.answer()

    def stats(self) -> dict[str, Any]:
        return self.ask("stats")

    def queue(self) -> list[dict[str, Any]]:
        return self.ask("list")

    def body(self, parcel: dict[str, Any]) -> bytes:
        return bytes.fromhex(self.ask(f"body {parcel['key']}")["hex"])

    def reload(self) -> None:
        self.ports.update(self.ask(f"reload {self.write_config()}"))

    def memory(self) -> int:
        """Octets of the process that are its own."""
        text = Path(f"/proc/{self.child.pid}/smaps_rollup").read_text()
        kib = sum(int(line.split()[1]) for line in text.splitlines()
                  if line.startswith(("Private_Clean", "Private_Dirty")))
        return kib * 1024

    def connect(self, listener: str = "mx", **how: Any) -> Client:
        return Client(self.ports[listener], **how)


class Client:
    """An SMTP client that says exactly what it is told."""

    def __init__(self, port: int, source: str | None = "127.0.0.1", timeout: float = 10,
                 banner: bool = True, tls: bool = False, before: bytes = b"",
                 address: str = "127.0.0.1") -> None:
        self.socket: Any = socket.create_connection((address, port), timeout,
                                                    (source, 0) if source else None)
        self.unread = b""
        if before:
            self.socket.sendall(before)
        if tls:
            self.start_tls()
        self.banner = self.reply() if banner else b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def start_tls(self, cert: Path | None = None, **how: Any) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            for key, value in how.items():
                setattr(context, key, value)
        if cert:
            context.load_cert_chain(cert)
        self.socket = context.wrap_socket(self.socket, server_hostname="mx.example.org")

    def starttls(self, **how: Any) -> None:
        assert self(b"STARTTLS").startswith(b"220")
        self.start_tls(**how)

    def raw(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def line(self) -> bytes:
        while b"\r\n" not in self.unread:
            piece = self.socket.recv(65536)
            if not piece:
                raise EOFError(self.unread)
            self.unread += piece
        line, _, self.unread = self.unread.partition(b"\r\n")
        return line

    def reply(self) -> bytes:
        """All lines of one reply."""
        lines = [self.line()]
        while lines[-1][3:4] == b"-":
            lines.append(self.line())
        return b"\r\n".join(lines)

    def __call__(self, *commands: bytes) -> bytes:
        """Commands one after the other; the last reply."""
        reply = b""
        for command in commands:
            self.raw(command + b"\r\n")
            reply = self.reply()
        return reply

    def code(self, *commands: bytes) -> int:
        return int(self(*commands)[:3])

    def envelope(self, *to: bytes, sender: bytes = b"a@sender.example") -> list[int]:
        codes = [self.code(b"EHLO client.example"), self.code(b"MAIL FROM:<" + sender + b">")]
        return codes + [self.code(b"RCPT TO:<" + t + b">") for t in to or (b"x@example.org",)]

    def ended(self, seconds: float = 10) -> bool:
        """The server closes; whatever it still says is read."""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True


def plain(*words: bytes) -> bytes:
    return b"AUTH PLAIN " + base64.b64encode(b"\0".join(words))
