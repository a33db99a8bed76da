"""An SMTP receiver that behaves by script, with real TLS, and writes down every octet it got."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
import time
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence, Union

from lab import client_hello

EXTENSIONS = ("PIPELINING", "SIZE 104857600", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8",
              "CHUNKING")
MAX_LINE = 1 << 20
Reply = Union[str, bytes]
# The alert handshake_failure.
TLS_ALERT = b"\x15\x03\x03\x00\x02\x02\x28"


@dataclass
class Tls:
    """How the server does TLS. Files are PEM with key and certificates in the order to send."""

    files: Sequence[Path] = ()              # several: RSA and ECDSA side by side
    minimum: str = "TLSv1_2"
    maximum: str = "TLSv1_3"
    ciphers: str = "DEFAULT:@SECLEVEL=0"
    sni: Mapping[str, Path] = field(default_factory=dict)
    abort_unknown_sni: bool = False         # RFC 7672 section 8.1 forbids it; row P14

    def context(self, on_sni: Callable[[Any, str | None, Any], int | None] | None = None,
                ) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers(self.ciphers)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # old versions on purpose
            context.minimum_version = ssl.TLSVersion[self.minimum]
            context.maximum_version = ssl.TLSVersion[self.maximum]
        for path in self.files:
            context.load_cert_chain(path)
        if on_sni:
            context.sni_callback = on_sni
        return context


def anonymous() -> Tls:
    """No certificate at all: anonymous key exchange (rows P8, C33)."""
    return Tls(ciphers="aNULL:@SECLEVEL=0", maximum="TLSv1_2")


@dataclass
class Smtp:
    """What a server says. A reply is text such as "250 2.0.0 ok"; "\\n" makes it several lines;
    bytes go out as they are.

    `replies`: by step, a reply or a list of replies used one after the other (the last stays).
    Steps: connect EHLO HELO STARTTLS MAIL RCPT RCPT:<address> DATA . BDAT RSET NOOP QUIT; "tls:"
    before a step: only inside TLS.
    """

    hostname: str = "mx.test"
    tls: Tls | None = None                      # None: STARTTLS is not offered
    offer: str = "STARTTLS"                     # the keyword, to mangle it
    offer_again: bool = False                   # also inside TLS (row S12)
    extensions: Sequence[str] = EXTENSIONS
    tls_extensions: Sequence[str] | None = None
    replies: Mapping[str, Reply | Sequence[Reply]] = field(default_factory=dict)
    after_220: str = "handshake"          # handshake close hang garbage alert bad-signature
    inject: bytes = b""                         # in the same segment as the 220 (row S6)
    close_at: str = ""                          # step at which it closes without a reply
    close_after_octets: int = -1                # of message data
    break_tls_after_octets: int = -1            # ... octets that are no TLS, in the midst of it
    hang_at: str = ""                           # step at which it reads on and says nothing
    endless_at: str = ""                        # step with a reply that never ends
    byte_delay: float = 0                       # seconds between two octets of each reply


@dataclass
class Session:
    """What happened in one connection; `clear` and `secure` are all octets received, as Latin-1."""

    time: float
    server: str
    port: int
    peer: str
    sni: str | None = None
    hello: dict[str, Any] | None = None         # what the client offered; lab/client_hello.py
    tls: dict[str, Any] | None = None
    tls_error: str | None = None
    clear: str = ""
    secure: str = ""
    commands: list[str] = field(default_factory=list)   # "tls:" before those inside TLS
    messages: list[dict[str, Any]] = field(default_factory=list)
    end: str = ""


class SmtpServer:
    """Listens at (address, port) pairs, all with the same behaviour."""

    def __init__(self, addresses: Sequence[str], behaviour: Smtp, log: Path,
                 port: int = 25) -> None:
        self.addresses, self.behaviour, self.log, self.port = list(addresses), behaviour, log, port
        self.sessions: list[Session] = []
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._here = threading.local()  # .session: that of this thread
        self._context: ssl.SSLContext | None = None
        self._by_sni: dict[str, ssl.SSLContext] = {}

    def change(self, behaviour: Smtp) -> None:
        """From the next connection on."""
        if behaviour.tls:
            self._context = behaviour.tls.context(self._on_sni)
            self._by_sni = {name: Tls([path], ciphers=behaviour.tls.ciphers).context()
                            for name, path in behaviour.tls.sni.items()}
        self.behaviour = behaviour

    def start(self) -> None:
        self.change(self.behaviour)
        for address in self.addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listener = socket.create_server((address, self.port), family=family, backlog=512)
            self._sockets.append(listener)
            threading.Thread(target=self._accept, args=(listener, address), daemon=True).start()

    def wait(self) -> None:
        pass

    def stop(self) -> None:
        for listener in self._sockets:
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            listener.close()
        self._sockets.clear()

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [m for s in list(self.sessions) for m in s.messages]

    @property
    def received(self) -> str:
        """Every octet of every session, in clear and under TLS."""
        return "".join(s.clear + s.secure for s in list(self.sessions))

    def _accept(self, listener: socket.socket, address: str) -> None:
        while True:
            try:
                conn, peer = listener.accept()
            except OSError:
                return
            session = Session(time.time(), address, self.port, peer[0])
            self.sessions.append(session)
            threading.Thread(target=self._serve, args=(conn, session), daemon=True).start()

    def _on_sni(self, obj: Any, name: str | None, _context: Any) -> int | None:
        assert self.behaviour.tls
        self._here.session.sni = name
        if name in self._by_sni:
            obj.context = self._by_sni[name]
        elif self.behaviour.tls.abort_unknown_sni:
            return int(ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME)
        return None

    def _serve(self, conn: socket.socket, session: Session) -> None:
        self._here.session = session
        dialogue = _Dialogue(self.behaviour, self._context, conn, session)
        try:
            dialogue.run()
            session.end = session.end or "closed by server"
        except _Gone as gone:
            session.end = str(gone)
        except (OSError, ValueError) as error:
            session.end = f"{type(error).__name__}: {error}"
        finally:
            dialogue.conn.close()
            with self._lock, open(self.log, "a") as out:
                out.write(json.dumps(session.__dict__) + "\n")


class _Gone(Exception):
    """The dialogue ends here; the text says why."""


class _Dialogue:
    def __init__(self, behaviour: Smtp, context: ssl.SSLContext | None, conn: socket.socket,
                 session: Session) -> None:
        self.b, self.context, self.conn, self.session = behaviour, context, conn, session
        self.conn.settimeout(300)
        self.buffer = b""
        self.secure = False
        self.used: dict[str, int] = {}
        self.envelope: dict[str, Any] = {"from": None, "to": []}
        self.body = b""  # of BDAT chunks so far

    # --- octets

    def _recv(self) -> bytes:
        data = self.conn.recv(65536)
        if self.secure:
            self.session.secure += data.decode("latin-1")
        else:
            self.session.clear += data.decode("latin-1")
        if not data:
            raise _Gone("closed by client")
        return data

    def _line(self) -> bytes:
        while b"\n" not in self.buffer:
            if len(self.buffer) > MAX_LINE:
                raise _Gone("line too long")
            self.buffer += self._recv()
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.rstrip(b"\r")

    def _send(self, data: bytes) -> None:
        if not self.b.byte_delay:
            self.conn.sendall(data)
            return
        for octet in data:
            self.conn.sendall(bytes([octet]))
            time.sleep(self.b.byte_delay)

    def _reply(self, step: str, default: str, tail: bytes = b"") -> str:
        """Sends the reply for a step; returns its code."""
        base = step.split(":")[0] if step.startswith("RCPT") else step
        if self.b.close_at == base:
            raise _Gone(f"closed at {base} as scripted")
        if self.b.hang_at == base:
            while True:
                self._recv()
        if self.b.endless_at == base:
            while True:
                self._send(b"250-" + b"x" * 60 + b"\r\n")
        reply = self._scripted(step, default)
        if isinstance(reply, bytes):
            self._send(reply + tail)
            return reply[:3].decode("latin-1")
        code, lines = reply[:3], reply[4:].split("\n")
        wire = "".join(f"{code}-{line}\r\n" for line in lines[:-1]) + f"{code} {lines[-1]}\r\n"
        self._send(wire.encode("utf-8") + tail)
        return code

    def _scripted(self, step: str, default: str) -> str | bytes:
        steps = [step, "RCPT"] if step.startswith("RCPT:") else [step]
        keys = [f"tls:{s}" for s in steps if self.secure] + steps
        for key in keys:
            if key in self.b.replies:
                value = self.b.replies[key]
                if isinstance(value, (str, bytes)):
                    return value
                position = self.used.get(key, 0)
                self.used[key] = position + 1
                return value[min(position, len(value) - 1)]
        return default

    # --- the dialogue

    def run(self) -> None:
        if self._reply("connect", f"220 {self.b.hostname} ESMTP lab")[0] != "2":
            self._until_quit()
        handlers: dict[str, Callable[[str], None]] = {
            "EHLO": self._ehlo, "STARTTLS": self._starttls, "MAIL": self._mail,
            "RCPT": self._rcpt, "DATA": self._data, "BDAT": self._bdat}
        while True:
            line = self._line().decode("latin-1")
            self.session.commands.append(("tls:" if self.secure else "") + line)
            verb, _, rest = line.partition(" ")
            verb = verb.upper()
            if verb == "QUIT":
                self._reply("QUIT", "221 2.0.0 bye")
                raise _Gone("QUIT")
            if verb in handlers:
                handlers[verb](rest)
            elif verb == "HELO":
                self._reply(verb, f"250 {self.b.hostname}")
            elif verb in ("RSET", "NOOP"):
                self._reply(verb, "250 2.0.0 ok")
            else:
                self._reply(verb, "502 5.5.1 unknown command")

    def _until_quit(self) -> None:
        while True:
            line = self._line().decode("latin-1")
            self.session.commands.append(line)
            if line.upper() == "QUIT":
                self._send(b"221 2.0.0 bye\r\n")
                raise _Gone("QUIT")
            self._send(b"503 5.5.1 no service\r\n")

    def _ehlo(self, _rest: str) -> None:
        words = list(self.b.extensions)
        if self.secure and self.b.tls_extensions is not None:
            words = list(self.b.tls_extensions)
        if (self.b.tls and not self.secure) or (self.secure and self.b.offer_again):
            words.append(self.b.offer)
        self._reply("EHLO", "\n".join([f"250 {self.b.hostname}", *words]))

    def _starttls(self, _rest: str) -> None:
        if self.b.tls is None and "STARTTLS" not in self.b.replies:
            self._reply("STARTTLS", "502 5.5.1 unknown command")
            return
        if self._reply("STARTTLS", "220 2.0.0 go", self.b.inject) != "220":
            return
        after = self.b.after_220
        if after == "close":
            raise _Gone("closed after 220 as scripted")
        if after == "garbage":
            self.conn.sendall(b"\x00garbage instead of a handshake\r\n" * 4)
            raise _Gone("garbage after 220 as scripted")
        if after == "alert":
            self.conn.recv(65536)
            self.conn.sendall(TLS_ALERT)
            raise _Gone("alert after 220 as scripted")
        if after == "hang":
            while self.conn.recv(65536):
                pass
            raise _Gone("client gave up the handshake")
        if after == "bad-signature":
            self._bad_signature()
        self._handshake()

    def _bad_signature(self) -> None:
        """A TLS 1.2 handshake whose signature over the key exchange is wrong (row C34)."""
        assert self.b.tls
        context = replace(self.b.tls, maximum="TLSv1_2").context()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        while True:
            incoming.write(self.conn.recv(65536) or TLS_ALERT)
            try:
                tls.do_handshake()
                raise _Gone("the client took a wrong signature")
            except ssl.SSLWantReadError:
                self.conn.sendall(_spoil_key_exchange(outgoing.read()))
            except ssl.SSLError as error:
                self.session.tls_error = str(error)
                raise _Gone(f"handshake: {error}") from error

    def _handshake(self) -> None:
        assert self.context
        self.session.hello = client_hello.peek(self.conn)
        try:
            self.conn = self.context.wrap_socket(self.conn, server_side=True)
        except (ssl.SSLError, OSError) as error:
            self.session.tls_error = str(error)
            raise _Gone(f"handshake: {error}") from error
        assert isinstance(self.conn, ssl.SSLSocket)
        cipher = self.conn.cipher()
        self.session.tls = {"version": self.conn.version(),
                            "cipher": cipher[0] if cipher else None,
                            "resumed": bool(self.conn.session_reused)}
        self.secure, self.buffer = True, b""
        self.envelope = {"from": None, "to": []}

    def _mail(self, rest: str) -> None:
        if self._reply("MAIL", "250 2.1.0 ok")[0] == "2":
            self.envelope = {"from": rest, "to": []}

    def _rcpt(self, rest: str) -> None:
        address = rest.partition("<")[2].partition(">")[0]
        if self._reply(f"RCPT:{address}", "250 2.1.5 ok")[0] == "2":
            self.envelope["to"].append(address)

    def _data(self, _rest: str) -> None:
        if not self.envelope["to"]:
            self._reply("DATA", "503 5.5.1 no recipients")
            return
        if self._reply("DATA", "354 go") != "354":
            return
        data = self._until_dot()
        if self._reply(".", "250 2.0.0 accepted")[0] == "2":
            self._accepted(data)

    def _fail_after(self, octets: int) -> None:
        """What is scripted to go wrong after so many octets of a message."""
        if 0 <= self.b.close_after_octets < octets:
            raise _Gone("closed in the message as scripted")
        if 0 <= self.b.break_tls_after_octets < octets and self.secure:
            with socket.socket(fileno=os.dup(self.conn.fileno())) as raw:
                raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))   # a record that nobody sealed
            while self._recv():
                pass

    def _until_dot(self) -> bytes:
        data = b""
        while True:
            self._fail_after(len(data) + len(self.buffer))
            while b"\n" not in self.buffer:
                self.buffer += self._recv()
            line, _, self.buffer = self.buffer.partition(b"\n")
            if line == b".\r":
                return data
            data += (line[1:] if line.startswith(b".") else line) + b"\n"

    def _bdat(self, rest: str) -> None:
        size, _, last = rest.partition(" ")
        wanted = int(size)
        while len(self.buffer) < wanted:
            self.buffer += self._recv()
            self._fail_after(len(self.buffer))
        self._fail_after(wanted)
        chunk, self.buffer = self.buffer[:wanted], self.buffer[wanted:]
        self.body += chunk
        if last.upper() != "LAST":
            self._reply("BDAT", "250 2.0.0 chunk")
        elif self._reply(".", "250 2.0.0 accepted")[0] == "2":
            self._accepted(self.body)

    def _accepted(self, data: bytes) -> None:
        self.session.messages.append({**self.envelope, "data": data.decode("latin-1"),
                                      "tls": self.secure})
        self.envelope, self.body = {"from": None, "to": []}, b""


def _spoil_key_exchange(flight: bytes) -> bytes:
    """Flips the last bit of the ServerKeyExchange message, where the signature ends."""
    data, at = bytearray(flight), 0
    while at + 5 <= len(data):
        end = at + 5 + int.from_bytes(data[at + 3:at + 5], "big")
        message = at + 5
        while data[at] == 22 and message + 4 <= end:
            after = message + 4 + int.from_bytes(data[message + 1:message + 4], "big")
            if data[message] == 12:
                data[after - 1] ^= 1
            message = after
        at = end
    return bytes(data)
