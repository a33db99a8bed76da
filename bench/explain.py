"""What the rows of docs/performance.md mean, in words: a title and a text for each part."""

from __future__ import annotations

from typing import Callable

from bench.measure import OCTETS

ROUNDS = """Every pair is measured in {rounds} rounds, the two in turns, the one first in odd rounds and the other
in even ones. The figures are medians over the rounds; the ratio is the median of the rounds' ratios, beside
it the least and the largest. CPU is user and system time of all threads of a process. A run in which one
domain, message or delivery did not end as it should is no result."""


def _check(numbers: dict[str, int]) -> str:
    return CHECK.format(**numbers, octets=OCTETS, rounds_text=ROUNDS.format(**numbers))


def _gateway(numbers: dict[str, int]) -> str:
    return GATEWAY.format(**numbers, open=100, twice=2 * numbers["messages"], octets=OCTETS,
                          rounds_text=ROUNDS.format(**numbers))


def _depth(numbers: dict[str, int]) -> str:
    return DEPTH.format(**numbers, half=numbers["shallow"] // 2, octets=OCTETS)


def _delay(numbers: dict[str, int]) -> str:
    return DELAY.format(**numbers, twice=2 * numbers["delay_messages"],
                        rounds_text=ROUNDS.format(**numbers))


CHECK = """The lab (`lab/README.md`) serves {domains} signed domains (ECDSA P-256, NSEC), each with one MX host of a
name of its own in its own zone, one address, and one TLSA record `3 1 1`. All addresses belong to one
process, `bench/sink.c`, with one P-256 certificate that all the records match. Network is the loopback
interface, so what is measured is work, not waiting.

{rounds_text}

- **policy, cold**: `daneway policy -` over all domains, from the start of the process to its end, JSON
  included; 2,000 domains at a time. The peer, `bench/bare_unbound.c`, puts the same questions (MX; A and
  AAAA; TLSA) to libunbound with the same settings, as many at a time, and prints nothing.
- **policy, warm**: what each further look at the same domains costs: a run over the list eleven
  times, less the median of the runs over it once.
- **delivery**: a message of {octets} octets to each domain, one connection and one TLS 1.3 handshake each,
  {in_flight} at a time, by `bench/deliver_many.c`: one process, the code of `daneway deliver` but for its JSON.
  DNS is warm from a first pass in the same process that is not measured, and asked all the same. The peer,
  `bench/bare_tls.c`, has the addresses from a list and does the dialogue, the handshake and the octets
  with OpenSSL alone: no DNS, no DANE, no deadlines. **deliveries** is the rate on the wall in the same runs,
  with the sink on the same processors.
- **open delivery**: by how much the resident memory grows, divided by {memory_in_flight} deliveries that all
  wait for the answer to their message.
- **one `deliver`**: the command from its start to its end: trust anchor, cold DNS from the root, TLS, message.
- **check --only dane**: the work of a sender without the message: MX, addresses, TLSA, one session with an
  address. All domains in one `daneway check -`, cold, JSON included. The peer is Postfix's
  `posttls-finger -l dane`, eight at a time by xargs, with an Unbound that starts empty; its CPU counts.
  One processor is the client's (and Unbound's), the other the servers': so it is for both.
- **check**: everything: of each address a session for each of three kinds of key, of which the sink has one.
  Its bare parts are the same questions put to libunbound by `bench/bare_unbound.c`, those to each name server
  (two over TCP a domain) by bare sockets, `bench/bare_dns.c`, and the same three sessions by
  `bench/bare_tls.c`. What the check does besides is to verify the signatures of each server's answers.
- **check, shared hosts**: one run over {shared} names below wildcards that share {shared_hosts} MX hosts. How
  many handshakes there were in all; CPU beside a run over a hundredth of them, memory beside one over a tenth:
  up to 2,000 domains are in flight, and memory grows until so many are. Of the CPU, `policy -` on the same
  names has the resolver's share."""

GATEWAY = """`daneway serve` beside Postfix with Unbound, as Debian ships them (`lab/postfix.py` and
`bench/measure_gateway.py` name every setting that differs). Both answer `250` after fsync, both keep their
queue on the same disk, in a new folder for each run. Messages have {octets} octets; they come from
`bench/load.c` over 50 connections at a time and go to `bench/sink.c`. Certificates are ECDSA P-256, TLS is
1.3, TLSA records are `3 1 1`. CPU is that of all processes of each, Unbound's too, but not that of load and
sink. **: time** is the time on the wall divided by the number of messages, with load and sink on the same
processors; at most 0.333 means three times the messages a second.

{rounds_text}

- **in, TLS, kept connections**: {twice} messages into the queue, 1,000 on each connection. What would go out
  is held. **: commits** is how many transactions of the queue there were for a message, each with an fsync
  (those of SQLite's checkpoints are not counted): many sessions share one.
- **in, TLS, a connection each**: {messages} messages, a TCP connection and a TLS handshake for each.
  **beside OpenSSL** is the same load on `bench/sink.c`, which does the handshake with OpenSSL, stores nothing
  and answers at once.
  **beside Exim**, here and above: a fifth of the messages; Exim 4.96 (GnuTLS) queues them without a try
  (`bench/measure_exim.py` has its settings). It syncs three times for each: its text, its envelope, the folder.
- **in, clear, a connection each**: the same without TLS.
- **out, reuse, one domain**: {messages} messages that waited in the queue go to one domain with one MX host
  under DANE.
- **out, many domains on 20 MX hosts, cold**: {messages} messages that waited go to {domains} domains, which
  share 20 MX hosts. No answer of DNS is cached at the beginning. **: connections** is how many the sink saw
  in all; a session may serve every domain whose own policy would accept it.
- **through, over TLS, out under DANE**: {messages} messages come in over TLS, 100 on each connection, and
  go out to one domain at the same time.
- **memory at {open} open deliveries**: PSS of all processes (what they share counts once) when {open}
  deliveries to {open} hosts wait for the answer to their message.
- **queue**: `edge/store` alone: messages from 100 sessions, each of which waits until its message is on the
  disk (fsync); **in and out again** claims them too and records a delivery. The peer is one session, one row
  with the same octets and one commit each, `synchronous=FULL` likewise."""

DELAY = """The same two programs behind a link with a delay, alone in a network namespace: load, sink and all name
servers are at the other end. `bench/delay_link.c` carries the packets between two TUN devices (MTU 1500),
each packet half of the round trip later. Messages a second: more is better. Here the number of connections
and of round trips decides, not the work. Both have the limits that they are shipped with: 20 connections at
a time to a destination.

{rounds_text}

- **N ms: in, TLS, kept connections**: {twice} messages over 50 connections; the load waits for each answer to
  its message before the next.
- **N ms: out, reuse, one domain**: {delay_messages} messages that waited in the queue, to one MX host.
- **N ms: out, many domains on 20 MX hosts, cold**: {delay_messages} messages to {domains} domains, DNS cold."""

DEPTH = """The gateway alone, with {shallow} messages of {octets} octets in its queue and with more: what
a message costs should not grow with the queue. They are for 20 domains with an MX host each, and held until
all are in. The two depths are measured in turns, {rounds} times (from 200,000 messages on once).

- **depth N: in**: CPU for each of the last {half} messages that come in, in clear, over kept connections.
- **depth N: start**: from the start of `daneway serve` with so many messages queued until it says `ready`.
- **depth N: out**: CPU for each message when all of them go out under DANE, DNS cold at the beginning.
- **depth N: memory**: the process at its largest (`VmHWM`)."""

EXPLANATIONS: dict[str, tuple[str, Callable[[dict[str, int]], str]]] = {
    "check": ("Tester and single deliveries", _check),
    "gateway": ("Gateway", _gateway),
    "delay": ("Links with a delay", _delay),
    "depth": ("Deep queues", _depth),
}
