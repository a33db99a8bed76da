"""A name server that misbehaves by script.

It stands before a good server (Knot, with the same zones), passes questions on and spoils the
answers by rules: the first rule that fits decides, no rule means the honest answer. Every question
is logged, so a test can prove what was *not* asked.
"""

from __future__ import annotations

import asyncio
import fnmatch
import json
import struct
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Coroutine, Sequence

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset

from lab.zones import Zone

ACTIONS = (
    "pass", "servfail", "refused", "notimp", "formerr", "nxdomain", "empty",
    "drop",            # reads, never answers
    "drop-answer",     # passes the question on, and never answers
    "truncate",        # TC over UDP; over TCP the honest answer
    "malformed",       # an answer that ends in the middle of a record
    "wrong-id", "wrong-question",
    "strip-rrsig",     # the signatures are taken away
    "strip-denial",    # NSEC, NSEC3 and their signatures are taken away
    "forge",           # the answer is `records`, unsigned
    "forge-signed",    # the data is `records`, with the signatures of the real data
    "replay",          # a denial of other names: no answer, but the SOA, NSEC and NSEC3 records (signed,
                       # genuine) of the honest answers to the questions in `records`, with `rcode`
    "serve",           # the answer is `zone`'s RRset that no zone file can hold, signed
    "transplant",      # the honest answer to the question in `records`, its owner renamed
    "slow",            # the honest answer after `delay` seconds
)
DENIAL = (dns.rdatatype.SOA, dns.rdatatype.NSEC, dns.rdatatype.NSEC3)
RCODES = {"noerror": 0, "servfail": 2, "formerr": 1, "nxdomain": 3, "notimp": 4, "refused": 5}
TCP_MODES = ("serve", "refuse", "hang", "close")


@dataclass
class Rule:
    """What to do with questions for `qname` (a shell pattern, no final dot) and `qtype`; updates
    are of the type UPDATE, for the name of the zone."""

    action: str
    qname: str = "*"
    qtype: str = "*"
    transport: str = "*"                 # udp, tcp, *
    records: Sequence[str] = ()          # zone-file lines for forge; "NAME TYPE" where it says so
    zone: Zone | None = None             # of serve
    rcode: str = "noerror"               # of a replay
    delay: float = 0
    times: int = -1                      # how often it applies; -1: always

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"unknown action: {self.action}")

    def fits(self, qname: str, qtype: str, transport: str) -> bool:
        return (self.times != 0 and fnmatch.fnmatchcase(qname, self.qname.lower())
                and self.qtype in ("*", qtype) and self.transport in ("*", transport))


@dataclass
class Query:
    """One line of the query log."""

    time: float
    server: str
    transport: str
    qname: str
    qtype: str
    action: str


class Reactor:
    """One event loop in a thread, for all scripted DNS servers of this process."""

    _loop: asyncio.AbstractEventLoop | None = None

    @classmethod
    def call(cls, work: Coroutine[Any, Any, Any]) -> Any:
        if cls._loop is None:
            cls._loop = asyncio.new_event_loop()
            threading.Thread(target=cls._loop.run_forever, name="dns", daemon=True).start()
        return asyncio.run_coroutine_threadsafe(work, cls._loop).result(30)


@dataclass
class DnsServer:
    """Listens on port 53 of `addresses`, asks `backend` (an address) for honest answers."""

    addresses: Sequence[str]
    backend: str
    log: Path
    rules: list[Rule] = field(default_factory=list)
    tcp: str = "serve"
    queries: list[Query] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.tcp not in TCP_MODES:
            raise ValueError(f"unknown tcp mode: {self.tcp}")
        self._closers: list[Any] = []
        self._out = open(self.log, "a", buffering=1)
        self._tasks: set[asyncio.Task] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    # --- what tests ask

    def asked(self, qname: str = "*", qtype: str = "*") -> list[Query]:
        """The questions so far that fit."""
        return [q for q in list(self.queries)
                if fnmatch.fnmatchcase(q.qname, qname.lower()) and qtype in ("*", q.qtype)]

    # --- running

    def start(self) -> None:
        Reactor.call(self._start())

    def wait(self) -> None:
        pass  # start() returns when the sockets are open

    def stop(self) -> None:
        Reactor.call(self._stop())

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        for address in self.addresses:
            transport, _ = await loop.create_datagram_endpoint(
                lambda a=address: _Udp(self, a), local_addr=(address, 53))
            self._closers.append(transport)
            if self.tcp != "refuse":
                server = await asyncio.start_server(
                    lambda r, w, a=address: self._tcp(a, r, w), address, 53)
                self._closers.append(server)

    async def _stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        for closer in [*self._closers, *self._writers]:
            closer.close()
        self._closers.clear()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tcp(self, address: str, reader: asyncio.StreamReader,
                   writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                size, = struct.unpack("!H", await reader.readexactly(2))
                wire = await reader.readexactly(size)
                if self.tcp == "close":
                    break
                answer = await self.answer(wire, address, "tcp")
                if answer is None or self.tcp == "hang":
                    await asyncio.sleep(300)
                    break
                writer.write(struct.pack("!H", len(answer)) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    # --- answers

    def _rule(self, qname: str, qtype: str, transport: str) -> Rule:
        for rule in self.rules:
            if rule.fits(qname, qtype, transport):
                rule.times -= rule.times > 0
                return rule
        return Rule("pass")

    def _note(self, query: Query) -> None:
        self.queries.append(query)
        self._out.write(json.dumps(asdict(query)) + "\n")

    async def answer(self, wire: bytes, address: str, transport: str) -> bytes | None:
        try:
            query = _parse(wire)
            question = query.question[0]
        except (dns.exception.DNSException, IndexError, ValueError):
            return None
        qname = question.name.to_text(omit_final_dot=True).lower()
        qtype = dns.rdatatype.to_text(question.rdtype)
        if query.opcode() == dns.opcode.UPDATE:
            qtype = "UPDATE"
        rule = self._rule(qname, qtype, transport)
        self._note(Query(time.time(), address, transport, qname, qtype, rule.action))
        if rule.delay:
            await asyncio.sleep(rule.delay)
        if rule.action == "drop-answer":
            await _ask(self.backend, wire, transport)
        if rule.action in ("drop", "drop-answer"):
            return None
        if rule.action in RCODES or rule.action == "empty":
            reply = dns.message.make_response(query)
            reply.flags |= dns.flags.AA
            reply.set_rcode(dns.rcode.Rcode(RCODES.get(rule.action, 0)))
            return reply.to_wire()
        if rule.action == "truncate" and transport == "udp":
            reply = dns.message.make_response(query)
            reply.flags |= dns.flags.AA | dns.flags.TC
            return reply.to_wire()
        if rule.action == "serve":
            assert rule.zone
            reply = dns.message.make_response(query)
            reply.flags |= dns.flags.AA
            reply.answer = list(rule.zone.unwritable[(question.name, question.rdtype)])
            return reply.to_wire()
        if rule.action in ("replay", "transplant"):
            return await self._of_others(query, rule)
        honest = await _ask(self.backend, wire, transport)
        if honest is None or rule.action in ("pass", "slow", "truncate"):
            return honest
        return spoil(rule, honest)

    async def _of_others(self, query: dns.message.Message, rule: Rule) -> bytes:
        """Genuine records, signatures included, that belong to other questions."""
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.AA
        reply.set_rcode(dns.rcode.Rcode(RCODES[rule.rcode]))
        for line in rule.records:
            question = dns.message.make_query(*line.split(), want_dnssec=True)
            honest = await _ask(self.backend, question.to_wire(), "tcp")
            other = dns.message.from_wire(honest or b"")
            if rule.action == "transplant":
                for rrset in other.answer:
                    rrset.name = query.question[0].name
                reply.answer += other.answer
                continue
            reply.authority += [r for r in other.answer + other.authority
                                if (r.rdtype in DENIAL or r.covers in DENIAL)
                                and r not in reply.authority]
        return reply.to_wire(max_size=65535)


def _parse(wire: bytes) -> dns.message.Message:
    """A signed message without its signature: the key is nothing to this server."""
    signed = dns.message.from_wire(wire, continue_on_error=True)
    if signed.errors and not all(isinstance(e.exception, dns.message.UnknownTSIGKey)
                                 for e in signed.errors):
        raise signed.errors[0].exception
    return signed


def spoil(rule: Rule, honest: bytes) -> bytes:
    """An honest answer, changed as the rule says."""
    if rule.action == "malformed":
        return honest[:max(13, len(honest) - 7)]
    if rule.action == "wrong-id":
        return bytes([honest[0] ^ 0xff]) + honest[1:]
    reply = dns.message.from_wire(honest)
    if rule.action == "wrong-question":
        reply.question[0].name = dns.name.from_text("other.example.")
    elif rule.action == "strip-rrsig":
        _drop(reply, {dns.rdatatype.RRSIG})
    elif rule.action == "strip-denial":
        _drop(reply, {dns.rdatatype.NSEC, dns.rdatatype.NSEC3})
        reply.authority = [r for r in reply.authority if r.covers not in
                           (dns.rdatatype.NSEC, dns.rdatatype.NSEC3)]
    else:
        forge(reply, rule.records, keep=rule.action == "forge-signed")
    return reply.to_wire(max_size=65535)


def forge(reply: dns.message.Message, records: Sequence[str], keep: bool) -> None:
    """Replaces the answer; with `keep` the signatures of the real data stay beside the false."""
    old = [r for r in reply.answer if keep and r.rdtype == dns.rdatatype.RRSIG]
    rrsets: dict[tuple[str, str], list[str]] = {}
    for line in records:
        owner, rdtype, rdata = line.split(None, 2)
        rrsets.setdefault((owner, rdtype), []).append(rdata)
    reply.answer = [dns.rrset.from_text(dns.name.from_text(o), 300, "IN", t, *rdatas)
                    for (o, t), rdatas in rrsets.items()] + old
    reply.authority = []
    reply.set_rcode(dns.rcode.NOERROR)


def _drop(reply: dns.message.Message, kinds: set[int]) -> None:
    for section in (reply.answer, reply.authority, reply.additional):
        section[:] = [rrset for rrset in section if rrset.rdtype not in kinds]


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer, address: str) -> None:
        self.server, self.address = server, address
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, peer: Any) -> None:
        self.server.spawn(self._reply(data, peer))

    async def _reply(self, data: bytes, peer: Any) -> None:
        answer = await self.server.answer(data, self.address, "udp")
        if answer is not None and not self.transport.is_closing():
            self.transport.sendto(answer, peer)


class _Once(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, peer: Any) -> None:
        if not self.answer.done():
            self.answer.set_result(data)


async def _ask(address: str, wire: bytes, transport: str) -> bytes | None:
    """The honest answer, by the same transport as the question came."""
    try:
        if transport == "udp":
            loop = asyncio.get_running_loop()
            udp, once = await loop.create_datagram_endpoint(_Once, remote_addr=(address, 53))
            try:
                udp.sendto(wire)
                return await asyncio.wait_for(once.answer, 5)
            finally:
                udp.close()
        reader, writer = await asyncio.open_connection(address, 53)
        try:
            writer.write(struct.pack("!H", len(wire)) + wire)
            size, = struct.unpack("!H", await reader.readexactly(2))
            return await reader.readexactly(size)
        finally:
            writer.close()
    except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
        return None
