"""daneway serve: start, privileges, reload, stop."""

from __future__ import annotations

import os
import signal
import smtplib
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from lab import certs
from lab.gateway import Gateway
from lab.pytest_plugin import Daneway, wait_until
from lab.world import World


@pytest.fixture(scope="module")
def site() -> Iterator[World]:
    world = World("serve")
    world.start()
    yield world
    world.stop()


Make = Callable[..., Gateway]


@pytest.fixture
def make(daneway: Daneway, site: World) -> Iterator[Make]:
    made: list[Gateway] = []

    def call(config: dict[str, Any] | None = None, start: bool = True, **how: Any) -> Gateway:
        if config is None:
            config = {"listeners": [{"mx": f"{site.address()}:25", "tls": "none"}]}
        gateway = Gateway(daneway.path, site, config, **how)
        made.append(gateway)
        if start:
            gateway.start()
            gateway.wait()
        return gateway
    yield call
    for gateway in made:
        gateway.stop()


@pytest.fixture
def low_ports() -> Iterator[None]:
    """Port 25 is root's, as on most machines."""
    path = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    before = path.read_text()
    path.write_text("1024")
    yield
    path.write_text(before)


def _status(pid: int) -> dict[str, str]:
    text = Path(f"/proc/{pid}/status").read_text()
    return {line.partition(":")[0]: line.partition(":")[2].strip() for line in text.splitlines()}


def _ended(gateway: Gateway, code: int, *words: str) -> None:
    """It ends by itself, and its last line is the reason."""
    assert gateway.popen
    assert gateway.popen.wait(10) == code, gateway.text()
    last = gateway.text().splitlines()[-1]
    assert last.startswith("daneway: ") and all(word in last for word in words), gateway.text()


# --- privileges


def test_root_is_given_up(needs_users: None, make: Make) -> None:
    """Every thread, every id, every capability; nothing of it comes back."""
    gateway = make()
    gateway.wait_for("dns", health="good")
    assert gateway.popen
    pid = gateway.popen.pid
    threads = [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    assert len(threads) >= 4  # the loop's, three of the store's, the resolver's
    for thread in threads:
        status = _status(thread)
        assert status["Uid"].split() == ["717"] * 4 and status["Gid"].split() == ["717"] * 4
        assert status["Groups"].split() == ["717"]
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[kind], 16) == 0, (thread, kind, status[kind])
        assert status["NoNewPrivs"] == "1"
    # Not dumpable: its memory and its environment are root's. (AddressSanitizer must look at it.)
    if b"__asan_init" not in gateway.program.read_bytes():
        assert os.stat(f"/proc/{pid}/environ").st_uid == 0
    for folder in (gateway.state, gateway.state / "queue"):
        found = folder.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o700, 717), folder


def test_unknown_user(make: Make) -> None:
    gateway = make({"user": "nobody-of-that-name"}, start=False)
    gateway.start()
    _ended(gateway, 78, "nobody-of-that-name")
    assert not gateway.state.exists()


def test_capabilities_without_root(needs_users: None, low_ports: None, make: Make,
                                   site: World) -> None:
    """As systemd starts it: a user with CAP_NET_BIND_SERVICE. It binds port 25, and keeps nothing."""
    gateway = make({"listeners": [{"mx": f"{site.address()}:25", "tls": "none"}]}, start=False,
                   via=["setpriv", "--reuid=717", "--regid=717", "--clear-groups",
                        "--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service"])
    os.chown(gateway.dir, 717, 717)
    gateway.start()
    gateway.wait()
    assert gateway.popen
    status = _status(gateway.popen.pid)
    for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[kind], 16) == 0, (kind, status[kind])


def test_key_of_root(needs_users: None, make: Make, site: World) -> None:
    """Read before root is given up; that a reload cannot read it is said at once, and then."""
    pem = certs.self_signed("mx1.hoster.test").write(site.dir / "root.pem")
    pem.chmod(0o600)
    gateway = make({"certificates": [{"chain": str(pem), "key": str(pem)}],
                    "listeners": [{"mx": f"{site.address()}:25"}]})
    event = gateway.wait_for("reload_will_fail")
    assert event["user"] == "daneway" and str(pem) in event["detail"]
    gateway.signal(signal.SIGHUP)
    assert gateway.wait_for("reload_refused")["read_as"] == "daneway"
    os.chown(pem, 717, 717)
    gateway.reload()


# --- listening


def _listening() -> str:
    return subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout


def test_both_families_and_an_address_beside_them(make: Make, site: World) -> None:
    """The configuration of the design: "[::]:25" for the world, one address for a relay.
    Another port: other worlds of this run have mail servers at port 25 of their addresses."""
    own = site.address()
    gateway = make({"listeners": [{"mx": "[::]:2600", "tls": "none"},
                                  {"relay": f"{own}:2600", "networks": ["198.18.0.0/15"], "tls": "none"}]})
    ready = gateway.wait_for("ready")
    assert ready["listeners"] == f"mx [::]:2600, relay {own}:2600"
    assert f"{own}:2600" in _listening() and "*:2600" in _listening()
    # Who connects to the one address is the relay's client, all others are the world.
    for address, code in ((own, 250), ("127.0.0.1", 550), ("::1", 550)):
        for _ in range(5):
            source = ("", 0) if ":" in address else (own, 0)
            with smtplib.SMTP(address, 2600, "client.test", 10, source) as client:
                client.ehlo()
                client.mail("a@sender.test")
                assert client.rcpt("b@elsewhere.test")[0] == code, address


def test_four_and_six_apart(make: Make) -> None:
    gateway = make({"listeners": [{"mx": "[::]:2525", "tls": "none"},
                                  {"mx": "0.0.0.0:2525", "tls": "none"}]})
    gateway.wait_for("ready")
    assert "0.0.0.0:2525" in _listening() and "[::]:2525" in _listening()


def test_port_is_taken(make: Make, site: World) -> None:
    own = site.address()
    with socket.create_server((own, 25)):
        gateway = make({"listeners": [{"mx": f"{own}:25", "tls": "none"}]}, start=False)
        gateway.start()
        _ended(gateway, 69, f"{own}:25", "in use")


def test_unix_listener(make: Make, site: World) -> None:
    path = site.dir / "in.sock"
    gateway = make({"listeners": [{"mx": f"unix:{path}", "tls": "none"}]})
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    gateway.stop()
    # What a kill leaves behind is no obstacle; what another listens on is.
    gateway.start()
    gateway.wait_for("ready", count=2)
    assert gateway.popen
    gateway.popen.kill()
    gateway.popen.wait()
    gateway.start()
    gateway.wait_for("ready", count=3)
    other = make({"listeners": [{"mx": f"unix:{path}", "tls": "none"}]}, start=False)
    other.start()
    _ended(other, 69, str(path), "in use")


# Becomes the program with these descriptors from 3 on, as systemd does it.
HAND_OVER = """
import fcntl, os, sys
fds = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in sys.argv[1].split(",")]
for i, fd in enumerate(fds):
    os.dup2(fd, 3 + i)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


def test_systemd_sockets(make: Make, site: World) -> None:
    """Sockets by name, as systemd hands them over; two of one name make one listener."""
    servers = [socket.create_server((site.address(), 25)) for _ in range(3)]
    fds = [server.fileno() for server in servers]
    gateway = make({"listeners": [{"mx": "systemd:in", "tls": "none"}]}, start=False,
                   via=[sys.executable, "-c", HAND_OVER, ",".join(map(str, fds)), "in:other:in"])
    gateway.start(pass_fds=fds)
    names = gateway.wait_for("ready")["listeners"]
    first, second, third = (f"mx {server.getsockname()[0]}:25" for server in servers)
    assert first in names and third in names and second not in names
    assert gateway.wait_for("sockets_unused")["names"] == "other"
    for server in servers:
        server.close()


def test_systemd_socket_that_is_missing(make: Make) -> None:
    gateway = make({"listeners": [{"mx": "systemd:in", "tls": "none"}]}, start=False)
    gateway.start()
    _ended(gateway, 69, "systemd:in", "FileDescriptorName")


# --- configuration


def test_bad_file(make: Make) -> None:
    """Line and column on stderr, 78, and nothing was made."""
    gateway = make(start=False)
    gateway.path.write_text("hostname: mx1.hoster.test\nstates: /var/lib/daneway\n")
    gateway.start()
    assert gateway.popen
    assert gateway.popen.wait(10) == 78
    assert f"{gateway.path}:2:1: no key `states`: did you mean `state`?" in gateway.text()
    assert not gateway.state.exists()


def test_files_that_it_names(make: Make, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("no key")
    key.chmod(0o644)
    gateway = make({"certificates": [{"chain": "/nonexistent/chain", "key": str(key)}]}, start=False)
    gateway.start()
    _ended(gateway, 78, "/nonexistent/chain")
    assert "others can read it" in gateway.text()


def test_reload(make: Make, site: World) -> None:
    """A listener more, one less; a bad file changes nothing; a key of the start is named."""
    first, second = site.address(), site.address()
    gateway = make({"listeners": [{"mx": f"{first}:2525", "tls": "none"}]})
    gateway.reload(listeners=[{"mx": f"{second}:2525", "tls": "none"}])
    assert wait_until(lambda: f"{first}:2525" not in _listening())
    assert f"{second}:2525" in _listening()

    good = gateway.path.read_text()
    gateway.path.write_text(good.replace('"listeners"', '"listener"'))
    gateway.signal(signal.SIGHUP)
    gateway.wait_for("reload_refused")
    problem = gateway.wait_for("config_problem")
    assert "did you mean `listeners`" in problem["detail"] and int(problem["line"]) > 1
    assert f"{second}:2525" in _listening()

    gateway.path.write_text(good.replace("mx1.hoster.test", "mx2.hoster.test"))
    gateway.signal(signal.SIGHUP)
    gateway.wait_for("reload_refused", count=2)
    assert any(e["detail"].startswith("hostname has changed") for e in gateway.events("config_problem"))


def test_reload_cannot_have_port_25(needs_users: None, low_ports: None, make: Make,
                                    site: World) -> None:
    """Root is gone: a new low port wants a restart, and the old listeners stay."""
    gateway = make()
    old = gateway.config["listeners"]
    gateway.write(listeners=[{"mx": f"{site.address()}:25", "tls": "none"}])
    gateway.signal(signal.SIGHUP)
    assert "Permission denied" in gateway.wait_for("config_problem")["detail"]
    gateway.wait_for("reload_refused")
    assert old[0]["mx"] in _listening()


# --- life


def test_notes_to_systemd(make: Make, site: World) -> None:
    """READY, WATCHDOG, RELOADING and READY again, STOPPING."""
    path = site.dir / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notes:
        notes.bind(str(path))
        path.chmod(0o777)
        notes.settimeout(10)
        gateway = make(env={"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "400000"})

        def until(word: str) -> str:
            while True:
                note = notes.recv(4096).decode()
                if word in note:
                    return note
        seen = [notes.recv(4096).decode() for _ in range(5)]
        assert any("READY=1" in note for note in seen), seen
        assert sum(note == "WATCHDOG=1" for note in seen) >= 3, seen
        gateway.signal(signal.SIGHUP)
        assert "MONOTONIC_USEC=" in until("RELOADING=1")
        until("READY=1")
        gateway.signal(signal.SIGTERM)
        until("STOPPING=1")
        assert gateway.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends(make: Make, number: signal.Signals) -> None:
    gateway = make()
    gateway.signal(number)
    assert gateway.popen and gateway.popen.wait(10) == 0
    assert [e["event"] for e in gateway.events()][-2:] == ["stopping", "stopped"]


def test_one_gateway_a_queue(make: Make, site: World) -> None:
    gateway = make()
    other = make({"listeners": [{"mx": f"{site.address()}:25", "tls": "none"}],
                  "state": str(gateway.state)}, start=False)
    other.start()
    _ended(other, 69, str(gateway.state))
    assert gateway.popen and gateway.popen.poll() is None


# --- DNS that is not to be believed


def test_wrong_anchor_is_no_end(make: Make, site: World) -> None:
    """It serves, sends nothing, and says why (contract: serve never exits for it)."""
    anchor = site.dir / "wrong.key"
    anchor.write_text(". IN DS 12345 13 2 " + "ab" * 32 + "\n")
    gateway = make({"listeners": [], "dns": {"root_hints": str(site.root_hints),
                                             "trust_anchor": str(anchor)}})
    event = gateway.wait_for("dns")
    assert (event["health"], event["sending"]) == ("anchor", "waits")
    assert gateway.popen and gateway.popen.poll() is None


def test_anchor_that_cannot_be_read_is_no_end(make: Make) -> None:
    gateway = make({"listeners": [], "dns": {"trust_anchor": "/nonexistent/anchor"}})
    event = gateway.wait_for("dns")
    assert event["health"] == "anchor" and "/nonexistent/anchor" in event["detail"]
    assert gateway.stop() == 0


# --- metrics


def _get(address: tuple[str, int] | str, request: bytes = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n") -> bytes:
    """All that comes until the end."""
    kind = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(kind) as client:
        client.settimeout(15)
        client.connect(address)
        answer = b""
        try:
            client.sendall(request)
            while octets := client.recv(65536):
                answer += octets
        except (BrokenPipeError, ConnectionResetError):
            pass
        return answer


def test_metrics(make: Make, site: World) -> None:
    """Prometheus' own parser reads them; what happened shows."""
    parser = pytest.importorskip("prometheus_client.parser")
    own = site.address()
    gateway = make({"listeners": [{"relay": f"{own}:2525", "networks": ["198.18.0.0/15"],
                                   "tls": "none"}],
                    "metrics": {"listen": "127.0.0.1:9725"}})
    gateway.wait_for("dns", health="good")
    with smtplib.SMTP(own, 2525, "client.test", timeout=10, source_address=(own, 0)) as client:
        client.sendmail("a@sender.test", ["x@unknown.invalid"], "Subject: 1\n\nbody\n")
    head, _, body = _get(("127.0.0.1", 9725)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n") and b"text/plain; version=0.0.4" in head
    families = {f.name: f for f in parser.text_string_to_metric_families(body.decode())}
    assert all(name.startswith("daneway_") for name in families)

    def value(name: str, **labels: str) -> float:
        found = [s.value for f in families.values() for s in f.samples
                 if s.name == name and s.labels == labels]
        assert len(found) == 1, (name, labels, found)
        return found[0]
    assert value("daneway_received_messages_total", listener="relay") == 1
    assert value("daneway_received_messages_total", listener="mx") == 0
    assert value("daneway_received_recipients_total") == 1
    assert value("daneway_store_commits_total") >= 1
    assert value("daneway_dns_health", state="good") == 1
    assert value("daneway_sending") == 1 and value("daneway_store_broken") == 0
    assert value("daneway_config_refused") == 0


def test_metrics_are_bounded(make: Make, site: World) -> None:
    """One GET, one answer; what is else is refused, a slow client cut, a ninth turned away."""
    path = str(site.dir / "metrics.sock")
    make({"metrics": {"listen": f"unix:{path}"}})
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
    assert _get(path, b"HEAD /metrics?x=1 HTTP/1.0\n\n").endswith(b"\r\n\r\n")
    for request, status in ((b"GET / HTTP/1.1\r\n\r\n", 404), (b"POST /metrics HTTP/1.1\r\n\r\n", 405),
                            (b"GET /metrics\r\n\r\n", 400), (b"GET  /metrics HTTP/1.1\r\n\r\n", 400),
                            (b"GET /metrics HTTP/1.1 x\r\n\r\n", 400), (b"\x16\x03\x01\r\n\r\n", 400),
                            (b"GET metrics HTTP/1.1\r\n\r\n", 400), (b"GET /\0 HTTP/1.1\r\n\r\n", 400),
                            (b"GET /metrics HTTP/1.1\r\nA: " + b"a" * 8166, 431)):
        assert _get(path, request).startswith(f"HTTP/1.1 {status} ".encode()), request[:40]
    fits = b"GET /metrics HTTP/1.1\r\nA: "
    assert _get(path, fits + b"a" * (8192 - len(fits) - 4) + b"\r\n\r\n").startswith(b"HTTP/1.1 200")
    idle = []
    for _ in range(8):
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)
        client.settimeout(15)
        idle.append(client)
    begin = time.monotonic()
    assert _get(path) == b""
    # An octet now and then buys no time.
    while time.monotonic() - begin < 9:
        try:
            idle[0].send(b"G")
        except OSError:
            break
        time.sleep(0.5)
    assert idle[0].recv(100) == b"" and 8 < time.monotonic() - begin < 14
    for client in idle:
        client.close()
    assert _get(path).startswith(b"HTTP/1.1 200")


def test_metrics_port_is_taken(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 9726)):
        gateway = make({"metrics": {"listen": "127.0.0.1:9726"}}, start=False)
        gateway.start()
        _ended(gateway, 69, "127.0.0.1:9726", "in use")


# --- the sandbox


def test_sandbox(needs_users: None, make: Make, site: World) -> None:
    """Every thread is in it, also those that came later; a folder of its own it cannot read."""
    gateway = make()
    gateway.wait_for("dns", health="good")
    event = gateway.wait_for("sandbox")
    assert event["seccomp"] == "yes"
    assert gateway.popen
    pid = gateway.popen.pid
    for thread in os.listdir(f"/proc/{pid}/task"):
        assert _status(int(thread))["Seccomp"] == "2", thread
    if event["landlock"] == "none":
        pytest.skip("the kernel has no Landlock")
    _name_recipients(gateway, gateway.dir)
    gateway.wait_for("reloaded")
    _name_recipients(gateway, site.dir.parent / "elsewhere")
    assert "Permission denied" in gateway.wait_for("config_problem")["detail"]


def _name_recipients(gateway: Gateway, folder: Path) -> None:
    """A reload with a file in this folder, which any user may read."""
    folder.mkdir(exist_ok=True)
    path = folder / "recipients"
    path.write_text("anna@own.example\n")
    folder.chmod(0o755)
    path.chmod(0o644)
    gateway.write(domains={"own.example": {"next_hop": "smtp:[192.0.2.1]:25",
                                           "recipients": str(path)}})
    gateway.signal(signal.SIGHUP)


def test_without_sandbox(make: Make, site: World) -> None:
    gateway = make({"sandbox": False})
    assert gateway.popen and not gateway.events("sandbox")
    assert _status(gateway.popen.pid)["Seccomp"] == "0"
    _name_recipients(gateway, site.dir.parent / "elsewhere")
    gateway.wait_for("reloaded")
