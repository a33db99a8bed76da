"""Drives other senders over staged cases: Postfix, posttls-finger, Exim.

All messages are handed in at once and tried once. What became of them is read from the servers' logs
and the sender's queue. Each peer gets a fresh validating Unbound at 127.0.0.1, and the policy that the
case's options ask of daneway, where it has such a setting.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Iterator, Protocol, Sequence

import outcome
from drive import SENDER, Daneway, settle
from lab.exim import EXIM, Exim
from lab.postfix import Postfix
from lab.unbound import Unbound
from lab.world import World
from outcome import Seen, Verdict
from stage import Staged

# Seconds of one wait for a server; the scripted silences are longer.
PATIENCE = 5
# Seconds for all that a peer has to do.
LIMIT = 150
RESOLVER = ["outgoing-range: 4096", "num-queries-per-thread: 4096", "so-rcvbuf: 1m",
            "incoming-num-tcp: 200", "infra-cache-max-rtt: 4000"]
OWN_NAME = ("the own name (M17) is a name to daneway (`--helo`); here it is an address of the machine's "
            "interfaces, and those of the lab are on none")


@dataclass
class Wish:
    """What the options of a case ask for."""

    mode: str = "opportunistic"
    next_hop: str = ""
    half_dane: bool = False
    helo: str = ""

    @classmethod
    def of(cls, staged: Staged) -> Wish:
        wish, rest = cls(), list(staged.fill(staged.case.options))
        while rest:
            option = rest.pop(0)
            if option == "--half-dane":
                wish.half_dane = True
            elif option in ("--mode", "--next-hop", "--helo"):
                setattr(wish, option[2:].replace("-", "_"), rest.pop(0))
            elif option in ("--timeout", "--dns-timeout"):
                rest.pop(0)                     # patience, no policy
            else:
                raise ValueError(f"{staged.case.id}: no peer has a setting for {option}")
        return wish


class Observer:
    """From here on: what the servers of the cases see, their scripts rewound."""

    def __init__(self, staged: Sequence[Staged]) -> None:
        self.sessions, self.questions = {}, {}
        for one in staged:
            one.rewind()
            self.sessions[one.case.id] = {n: len(s.sessions) for n, s in one.servers.items()}
            self.questions[one.case.id] = len(one.dns.queries)

    def seen(self, staged: Staged, waiting: set[str], *, pending: bool = False) -> Seen:
        """`waiting`: the recipients that are in the sender's queue, as outcome.on_wire."""
        before = self.sessions[staged.case.id]
        sessions = {n: s.sessions[before[n]:] for n, s in staged.servers.items()}
        settle([s for each in sessions.values() for s in each])
        questions = staged.questions(self.questions[staged.case.id])
        results = {to: "pending" if pending else
                   outcome.result(staged, to, sessions, outcome.on_wire(to) in waiting)
                   for to in staged.recipients}
        return Seen(results, sessions, [(q.qname, q.qtype) for q in questions])


@contextmanager
def resolver(world: World, name: str) -> Iterator[None]:
    unbound = Unbound(world.dir / f"unbound-{name}", world.logs / f"unbound-{name}.log",
                      world.root_hints, world.trust_anchor, options=RESOLVER)
    unbound.start()
    try:
        unbound.wait()
        yield
    finally:
        unbound.stop()


def trusted(world: World, staged: Sequence[Staged]) -> str:
    """One store for all cases: each has a root of its own. "" when there is none."""
    roots = [one.trusted.read_text() for one in staged if one.trusted]
    path = world.dir / "peers-trusted.crt"
    path.write_text("".join(roots))
    path.chmod(0o644)
    return str(path) if roots else ""


def submission(staged: Staged) -> bytes:
    """The message as a local program hands it in: lines that end in LF."""
    return staged.arrives.replace(b"\r\n", b"\n")


class Peer(Protocol):
    """What side.py drives. `turn` tells several runs in one world apart."""

    name: str

    def comparable(self, staged: Staged) -> str:
        """"", or why this case asks nothing of this peer."""

    def drive(self, world: World, staged: Sequence[Staged], turn: str = "") -> \
            dict[str, Seen] | dict[str, Verdict]:
        """All cases at once, each tried once; by id, what was done."""


# --- daneway

class OurSender:
    """daneway, seen in the same way as the others."""

    name = "daneway"

    def __init__(self, program: Daneway, workers: int = 6) -> None:
        self.program, self.workers = program, workers

    def comparable(self, staged: Staged) -> str:
        return ""

    def drive(self, world: World, staged: Sequence[Staged], turn: str = "") -> dict[str, Seen]:
        for one in staged:
            one.rewind()
        with ThreadPoolExecutor(self.workers) as pool:
            return dict(zip([one.case.id for one in staged], pool.map(self._one, staged)))

    def _one(self, staged: Staged) -> Seen:
        run = self.program.run(staged, "deliver")
        out = run.output if isinstance(run.output, dict) else {}
        said = {outcome.on_wire(to): r["result"] for to, r in out.get("recipients", {}).items()}
        results = {}
        for to in staged.recipients:
            word = said.get(outcome.on_wire(to), "pending")
            results[to] = outcome.result(staged, to, run.sessions, word == "deferred")
            if word == "pending":
                results[to] = word
        proven = {a["address"]: (a["tls"] or {}).get("authenticated") in ("dane-ee", "dane-ta")
                  for a in out.get("attempts", []) if a["address"]}
        return Seen(results, run.sessions, run.questions, proven,
                    [f"{a['host']}: {a['detail']}" for a in out.get("attempts", [])])


# --- Postfix

class PostfixSender:
    """A delivery by smtp(8) at smtp_tls_security_level = dane."""

    name = "Postfix"
    LEVELS = {"mandatory": "dane-only", "none": "may"}
    PATIENT = ("smtp_connect_timeout", "smtp_helo_timeout", "smtp_starttls_timeout",
               "smtp_mail_timeout", "smtp_rcpt_timeout", "smtp_data_init_timeout",
               "smtp_data_xfer_timeout", "smtp_data_done_timeout", "smtp_quit_timeout",
               "smtp_rset_timeout")

    def comparable(self, staged: Staged) -> str:
        return OWN_NAME if Wish.of(staged).helo else ""

    def settings(self, world: World, staged: Sequence[Staged]) -> dict[str, str]:
        directory = world.dir / "postfix-peer"
        directory.mkdir(exist_ok=True)
        transports, levels = ["sender.test discard:"], []
        for one in staged:
            wish = Wish.of(one)
            for domain in {to.rpartition("@")[2] for to in one.recipients}:
                if wish.half_dane or wish.next_hop:
                    service = "half" if wish.half_dane else "smtp"
                    transports.append(f"{domain} {service}:{wish.next_hop}")
                if wish.mode in self.LEVELS:
                    levels.append(f"{wish.next_hop or domain} {self.LEVELS[wish.mode]}")
        (directory / "transport").write_text("\n".join(transports) + "\n")
        (directory / "tls").write_text("\n".join(levels) + "\n")
        settings = {
            "transport_maps": f"texthash:{directory}/transport",
            "smtp_tls_policy_maps": f"texthash:{directory}/tls",
            "smtp_tls_dane_insecure_mx_policy": "may",
            "smtp_tls_CAfile": trusted(world, staged),
            "default_process_limit": "100", "queue_run_delay": "1000s",
            "minimal_backoff_time": "1000s", "maximal_backoff_time": "1000s"}
        return settings | {name: f"{PATIENCE}s" for name in self.PATIENT}

    def start(self, world: World, staged: Sequence[Staged], name: str) -> Postfix:
        postfix = Postfix(name, world.dir / name, world.logs / f"{name}.log", hostname="sender.test",
                          tls_level="dane", extra=self.settings(world, staged),
                          services=["half unix - - n - - smtp"
                                    " -o smtp_tls_dane_insecure_mx_policy=dane"])
        postfix.start()
        postfix.wait()
        return postfix

    def drive(self, world: World, staged: Sequence[Staged], turn: str = "") -> dict[str, Seen]:
        observer = Observer(staged)
        with resolver(world, f"postfix{turn}"):
            postfix = self.start(world, staged, f"postfix-sender{turn}")
            try:
                with ThreadPoolExecutor(4) as pool:
                    list(pool.map(lambda s: postfix.submit(SENDER, s.recipients, submission(s)),
                                  staged))
                waiting, pending = self._finish(postfix)
            finally:
                postfix.stop()
        text = postfix.log.read_text(errors="replace")
        return {one.case.id: self._seen(observer, one, waiting, pending, text) for one in staged}

    def _finish(self, postfix: Postfix) -> tuple[set[str], set[str]]:
        """Waits until all was tried; returns the recipients deferred, and those still being tried."""
        end = time.monotonic() + LIMIT
        while True:
            entries = postfix.queue()
            busy = [e for e in entries if e["queue_name"] != "deferred"]
            if not busy or time.monotonic() > end:
                break
            time.sleep(0.3)
        waiting, pending = (
            {outcome.on_wire(r["address"]) for e in some for r in e.get("recipients", [])}
            for some in ([e for e in entries if e not in busy], busy))
        return waiting, pending

    def _seen(self, observer: Observer, staged: Staged, waiting: set[str], pending: set[str],
              text: str) -> Seen:
        mine = {outcome.on_wire(to) for to in staged.recipients}
        seen = observer.seen(staged, waiting, pending=bool(mine & pending))
        at = "|".join(re.escape(a) for a in staged.addresses.values())
        for word, address in re.findall(
                rf": (\w+) TLS connection established to \S+\[({at})\]:" if at else r"(?!)()()",
                text):
            # With an insecure MX it says "Trusted" of a host that DANE authenticated.
            seen.authenticated[address] = word == "Verified" or (
                word == "Trusted" and Wish.of(staged).half_dane)
        for to in staged.recipients:
            seen.log += re.findall(rf"to=<{re.escape(to)}>,.*?(dsn=\S+ status=.*)", text, re.I)
        return seen


# --- posttls-finger

class Finger:
    """Not a sender: the verdict of posttls-finger about the host that it speaks to."""

    name = "posttls-finger"
    WORKERS = 12

    def comparable(self, staged: Staged) -> str:
        if Wish.of(staged).helo:
            return OWN_NAME
        if len(staged.recipients) > 1:
            return "it asks about one destination"
        return ""

    def drive(self, world: World, staged: Sequence[Staged], turn: str = "") -> dict[str, Verdict]:
        with resolver(world, f"finger{turn}"):
            postfix = PostfixSender().start(world, staged, f"finger{turn}")
            observer = Observer(staged)
            try:
                with ThreadPoolExecutor(self.WORKERS) as pool:
                    verdicts = pool.map(lambda s: self._one(postfix, observer, s), staged)
                    return {one.case.id: verdict for one, verdict in zip(staged, verdicts)}
            finally:
                postfix.stop()

    def _one(self, postfix: Postfix, observer: Observer, staged: Staged) -> Verdict:
        wish = Wish.of(staged)
        to = wish.next_hop or staged.recipients[0].rpartition("@")[2].encode("idna").decode()
        argv = postfix.tool("posttls-finger", "-c", "-t", str(PATIENCE), "-T", str(PATIENCE),
                            "-l", PostfixSender.LEVELS.get(wish.mode, "dane"), "-L", "summary",
                            "-M", "dane" if wish.half_dane else "may", to)
        try:
            done = subprocess.run(argv, capture_output=True, timeout=60)
            text = (done.stdout + done.stderr).decode(errors="replace")
        except subprocess.TimeoutExpired as late:
            text = (late.stdout or b"").decode(errors="replace") + "\nended after 60 s"
        lines = [line.partition("posttls-finger: ")[2] or line for line in text.splitlines()]
        sessions = observer.seen(staged, set()).sessions
        last = max(((s.time, name) for name, each in sessions.items() for s in each),
                   default=(0, ""))
        words = re.findall(r"^(\w+) TLS connection established", "\n".join(lines), re.M)
        word = words[-1] if words else ""
        if word == "Trusted" and wish.half_dane and wish.mode == "opportunistic":
            word = "Verified"           # so it says of what DANE authenticated behind an insecure MX
        return Verdict(word, last[1], lines)


# --- Exim

EXIM_HOME = """\
home:
  driver = redirect
  domains = sender.test
  data = :blackhole:
"""
EXIM_LOOKUP = """\
{name}:
  driver = dnslookup
  domains = {domains}
  dnssec_request_domains = *
  transport = {transport}
  no_more
"""
EXIM_ROUTE = """\
{name}:
  driver = manualroute
  domains = {domains}
  route_data = {route}
  dnssec_request_domains = *
  transport = {transport}
  no_more
"""
EXIM_TRANSPORT = """\
{name}:
  driver = smtp
  dnssec_request_domains = *
"""


class EximSender:
    """A delivery by Exim with dnssec_request_domains = * and hosts_try_dane = *."""

    name = "Exim"
    TRANSPORTS = {"opportunistic": "remote", "mandatory": "mandatory", "none": "plain"}
    WORKERS = 40

    def comparable(self, staged: Staged) -> str:
        wish = Wish.of(staged)
        if wish.helo:
            return OWN_NAME
        return "it has no half-DANE" if wish.half_dane else ""

    def _route(self, next_hop: str) -> str:
        """`[host]:port`, `domain:port` in the words of manualroute, whose lists part at colons."""
        literal = re.fullmatch(r"\[(.*)\](?::(\d+))?|([^\[:]+)(?::(\d+))?", next_hop)
        assert literal, next_hop
        host, port = literal[1] or f"{literal[3]}/MX", literal[2] or literal[4]
        return host.replace(":", "::") + (f"::{port}" if port else "")

    def make(self, world: World, staged: Sequence[Staged], name: str) -> Exim:
        patience = [f"{name} = {PATIENCE}s" for name in
                    ("connect_timeout", "command_timeout", "data_timeout", "final_timeout")]
        options = [*patience]
        if store := trusted(world, staged):
            options.append(f"tls_verify_certificates = {store}")
        routers, lookups = EXIM_HOME, {}
        for one in staged:
            wish = Wish.of(one)
            transport = self.TRANSPORTS[wish.mode]
            domains = sorted({to.rpartition("@")[2] for to in one.recipients})
            if wish.next_hop:
                routers += EXIM_ROUTE.format(name=f"route_{one.case.id.replace('-', '_')}",
                                             domains=" : ".join(domains), transport=transport,
                                             route=self._route(wish.next_hop))
            elif transport != "remote":
                lookups.setdefault(transport, []).extend(domains)
        for transport, domains in lookups.items():
            routers += EXIM_LOOKUP.format(name=f"lookup_{transport}", domains=" : ".join(domains),
                                          transport=transport)
        more = [("mandatory", ["hosts_require_dane = *"]), ("plain", ["hosts_try_dane ="])]
        transports = "".join(EXIM_TRANSPORT.format(name=name) +
                             "".join(f"  {option}\n" for option in [*options, *extra])
                             for name, extra in more)
        return Exim(name, world.dir / name, world.logs / f"{name}.log", hostname="sender.test",
                    routers=routers, transports=transports, remote=options)

    def drive(self, world: World, staged: Sequence[Staged], turn: str = "") -> dict[str, Seen]:
        observer, exim = Observer(staged), self.make(world, staged, f"exim-sender{turn}")
        exim.prepare()
        end = time.monotonic() + LIMIT
        with resolver(world, f"exim{turn}"), ThreadPoolExecutor(self.WORKERS) as pool:
            late = {s.case.id for s in pool.map(lambda s: self._one(exim, s, end), staged) if s}
        waiting, text = self._queue(exim), exim.main_log()
        return {one.case.id: self._seen(observer, one, waiting, one.case.id in late, text)
                for one in staged}

    def _one(self, exim: Exim, staged: Staged, end: float) -> Staged | None:
        """Hands in and delivers; returns the case if that did not end."""
        argv = [str(EXIM), "-C", str(exim.config), "-odf", "-oi", "-f", SENDER, "--",
                *staged.recipients]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            process.communicate(submission(staged), timeout=max(1, end - time.monotonic()))
            return None
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)      # its session: the deliveries as well
            process.wait()
            return staged

    def _queue(self, exim: Exim) -> set[str]:
        text = subprocess.run([str(EXIM), "-C", str(exim.config), "-bp"], capture_output=True,
                              text=True, errors="replace").stdout
        return {outcome.on_wire(line.strip()) for line in text.splitlines()
                if re.fullmatch(r"\s+[^\sD]\S*@\S+|\s+D\S+@\S+", line)}

    def _seen(self, observer: Observer, staged: Staged, waiting: set[str], pending: bool,
              text: str) -> Seen:
        seen = observer.seen(staged, waiting, pending=pending)
        for address in staged.addresses.values():
            for word in re.findall(rf"=> .*\[{re.escape(address)}\].* CV=(\S+)", text):
                seen.authenticated[address] = word == "dane"
        for to in staged.recipients:
            seen.log += re.findall(rf"(?:==|=>|->|\*\*) {re.escape(to)}[ :].*", text, re.I)
        return seen


def everyone(program: Daneway, workers: int = 6) -> list[Peer]:
    return [OurSender(program, workers), PostfixSender(), Finger(), EximSender()]
