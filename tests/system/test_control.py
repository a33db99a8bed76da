"""The control socket, daneway status and daneway queue."""

from __future__ import annotations

import json
import smtplib
import socket
import stat
import subprocess
import threading
from typing import Any, Callable, Iterator

import pytest

from lab.gateway import Gateway
from lab.pytest_plugin import Daneway, wait_until
from lab.world import World


@pytest.fixture(scope="module")
def site() -> Iterator[World]:
    world = World("control")
    world.start()
    yield world
    world.stop()


Make = Callable[..., Gateway]


@pytest.fixture
def make(daneway: Daneway, site: World) -> Iterator[Make]:
    made: list[Gateway] = []

    def call(config: dict[str, Any] | None = None, start: bool = True, **how: Any) -> Gateway:
        gateway = Gateway(daneway.path, site, config or {}, **how)
        made.append(gateway)
        if start:
            gateway.start()
            gateway.wait()
        return gateway
    yield call
    for gateway in made:
        gateway.stop()


class Client:
    """Speaks to the socket line by line."""

    def __init__(self, gateway: Gateway) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(gateway.state / "control"))
        self.file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def line(self) -> Any:
        line = self.file.readline()
        return json.loads(line) if line else None

    def ask(self, **request: Any) -> Any:
        self.send(json.dumps(request).encode() + b"\n")
        return self.line()


def test_socket_is_the_owners(needs_users: None, make: Make) -> None:
    """0600, in a folder that is 0700; another user is told so, and who is root is let in."""
    gateway = make()
    path = gateway.state / "control"
    found = path.stat()
    assert stat.S_ISSOCK(found.st_mode)
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o600, 717)
    assert gateway.tool("status").returncode in (0, 75)
    other = ["setpriv", "--reuid=716", "--regid=716", "--clear-groups"]
    done = subprocess.run([*other, str(gateway.program), "--config", str(gateway.path), "status"],
                          capture_output=True, text=True)
    assert done.returncode == 77 and "permission denied" in done.stderr, done

    # Were the modes open by mistake, the peer's user id still is not.
    gateway.state.chmod(0o755)
    path.chmod(0o666)
    done = subprocess.run([*other, str(gateway.program), "--config", str(gateway.path), "status"],
                          capture_output=True, text=True)
    assert done.returncode == 75 and done.stdout == "", done
    assert gateway.wait_for("control_refused")["uid"] == "716"


def test_gone_with_the_gateway(make: Make) -> None:
    gateway = make()
    assert (gateway.state / "control").exists()
    gateway.stop()
    assert not (gateway.state / "control").exists()
    for words in (["status"], ["queue", "list"]):
        done = gateway.tool(*words)
        assert done.returncode == 69 and done.stdout == ""
        assert done.stderr == (f"daneway: no gateway answers at {gateway.state}/control: "
                               "is `daneway serve` running?\n")


def test_after_a_kill(make: Make) -> None:
    """What a kill leaves behind is no gateway, and no obstacle to the next."""
    gateway = make()
    assert gateway.popen
    gateway.popen.kill()
    gateway.popen.wait()
    assert (gateway.state / "control").exists()
    assert gateway.tool("status").returncode == 69
    gateway.start()
    gateway.wait_for("ready", count=2)
    assert gateway.tool("status", "--json").returncode in (0, 75)


def test_status(make: Make, site: World) -> None:
    own = site.address()
    gateway = make({"listeners": [{"mx": f"{own}:2525", "tls": "none"}],
                    "outbound": {"destinations": {
                        "b.example": {"mode": "none", "owner": "postmaster@hoster.test",
                                      "reason": "TLSA broken, they know", "until": "2099-12-31"},
                        "a.example": {"mode": "none", "owner": "x", "reason": "y",
                                      "until": "2020-01-01"},
                        "c.example": {"mode": "mandatory"}}}})
    gateway.wait_for("dns", health="good")
    done = gateway.tool("--json", "status")
    status = json.loads(done.stdout)
    assert gateway.popen
    assert (done.returncode, status["state"], status["pid"]) == (0, "running", gateway.popen.pid)
    assert status["hostname"] == "mx1.hoster.test" and status["config"] == str(gateway.path)
    assert status["listeners"] == [{"kind": "mx", "configured": f"{own}:2525",
                                    "address": f"{own}:2525"}]
    assert status["dns"]["health"] == "good" and status["sending"] is True
    assert status["queue"]["messages"] == 0 and status["queue"]["broken"] is False
    assert [(e["domain"], e["holds"]) for e in status["exceptions"]] == [("a.example", False),
                                                                        ("b.example", True)]
    text = gateway.tool("status").stdout
    assert f"listener   mx {own}:2525" in text and "postmaster@hoster.test" in text
    assert "(over)" in text and "\x1b" not in text


def test_status_when_nothing_is_sent(make: Make, site: World) -> None:
    anchor = site.dir / "wrong.key"
    anchor.write_text(". IN DS 12345 13 2 " + "ab" * 32 + "\n")
    gateway = make({"dns": {"root_hints": str(site.root_hints), "trust_anchor": str(anchor)}})
    gateway.wait_for("dns", health="anchor")
    done = gateway.tool("status")
    assert done.returncode == 75 and "NOTHING IS SENT" in done.stdout


def test_empty_queue(make: Make) -> None:
    gateway = make()
    assert gateway.tool("queue", "list").stdout == "the queue is empty\n"
    done = gateway.tool("queue", "list", "--json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = gateway.tool("queue", "retry", "--all")
    assert (done.returncode, done.stdout) == (0, "retry: 0\n")
    for command in ("show", "hold", "delete"):
        done = gateway.tool("queue", command, "BCDFGHJKLMNPQRST")
        assert done.returncode == 65 and "no such message: BCDFGHJKLMNPQRST" in done.stderr


@pytest.mark.parametrize("words, why", [
    ([], "list, show"), (["stop"], "list, show"), (["delete"], "which messages"),
    (["delete", "--all", "--domain", "a.example"], "excludes"), (["show"], "ids are wanted"),
    (["retry", "no-id"], "not the id"), (["hold", "--domain", "a..b"], "domain:"),
    (["hold", "--sender", "nobody"], "sender:"), (["hold", "--older", "x"], "--older x")])
def test_slips(make: Make, words: list[str], why: str) -> None:
    """They need no gateway to be told."""
    gateway = make(start=False)
    gateway.write()
    done = gateway.tool("queue", *words)
    assert (done.returncode, done.stdout) == (64, ""), done
    assert why in done.stderr and done.stderr.count("\n") == 1, done


def test_protocol(make: Make) -> None:
    """Several questions at once, in any slices, with nonsense between them."""
    gateway = make()
    client = Client(gateway)
    assert client.ask(command="retry", all=True)["done"] == {"parcels": 0, "unknown": []}
    client.send(b'{"command": "list"}\n{"command": "nonsense"}\n\xff\xfe\n{"command": "hold", "al')
    assert client.line()["done"]["parcels"] == 0
    assert client.line()["error"]["code"] == "usage"
    assert client.line()["error"]["code"] == "usage"
    client.send(b'l": true}\n')
    assert client.line()["done"]["parcels"] == 0
    for octet in b'{"command": "status"}\n':
        client.send(bytes([octet]))
    client.socket.shutdown(socket.SHUT_WR)
    assert client.line()["done"]["state"] == "running"
    assert client.line() is None


def test_line_without_end(make: Make) -> None:
    gateway = make()
    client = Client(gateway)
    try:
        client.send(b" " * 70000)
    except BrokenPipeError:
        pass
    assert client.line()["error"]["code"] == "usage"
    # Closed; the octets that were not read make it a reset.
    try:
        assert client.line() is None
    except ConnectionResetError:
        pass
    # To the last octet of the limit it is a question.
    client = Client(gateway)
    client.send(b'{"command": "list"}' + b" " * (65536 - 19) + b"\n")
    assert "done" in client.line()


def test_questions_without_reading(make: Make) -> None:
    """Nearly a megabyte of questions before the first answer is read: each has its answer, and the
    gateway held neither questions nor answers beyond its limits meanwhile."""
    gateway = make()
    assert gateway.popen
    client, n = Client(gateway), 20000
    question = b'{"command": "list", "domain": "nobody.example"}\n'
    sender = threading.Thread(target=client.send, args=(question * n,), daemon=True)
    sender.start()
    sender.join(2)
    assert sender.is_alive()  # the gateway reads no further
    assert gateway.tool("queue", "list").returncode == 0
    for _ in range(n):
        assert client.line()["done"]["parcels"] == 0
    sender.join(10)
    assert not sender.is_alive()


def test_many_clients(make: Make) -> None:
    """Sixteen at a time; the rest are turned away, and a place that is free is given again."""
    gateway = make()
    clients = [Client(gateway) for _ in range(16)]
    assert all("done" in client.ask(command="list") for client in clients)
    extra = Client(gateway)
    assert extra.line() is None
    gateway.wait_for("control_refused")
    clients[0].file.close()
    clients[0].socket.close()
    assert wait_until(lambda: gateway.tool("queue", "list").returncode == 0)


def test_reload_and_stop(make: Make) -> None:
    gateway = make()
    client = Client(gateway)
    assert client.ask(command="reload")["done"]["config"] == str(gateway.path)
    gateway.path.write_text("hostname: [\n")
    answer = client.ask(command="reload")
    assert answer["error"]["code"] == "config" and f"{gateway.path}:" in answer["error"]["detail"]
    gateway.wait_for("reload_refused")
    assert client.ask(command="stop")["done"]["state"] == "stopping"
    assert gateway.popen and gateway.popen.wait(10) == 0


# --- with messages in the queue


@pytest.fixture
def filled(make: Make, site: World) -> Gateway:
    """Three messages wait, for nothing is sent: the anchor is wrong."""
    own = site.address()
    anchor = site.dir / "wrong.key"
    anchor.write_text(". IN DS 12345 13 2 " + "ab" * 32 + "\n")
    gateway = make({"listeners": [{"relay": f"{own}:2525", "networks": ["198.18.0.0/15", "127.0.0.0/8"],
                                   "tls": "none"}],
                    "dns": {"root_hints": str(site.root_hints), "trust_anchor": str(anchor)}})
    with smtplib.SMTP(own, 2525, "client.test", timeout=10) as client:
        client.sendmail("a@sender.test", ["x@one.example", "y@two.example"], "Subject: 1\n\nbody\n")
        client.sendmail("", ["z@one.example"], "Subject: 2\n\nbody\n")
        client.sendmail("B@Sender.test", ["z@three.example"], "Subject: 3\n\n" + "long body\n" * 1000)
    return gateway


def _list(gateway: Gateway, *words: str) -> list[dict[str, Any]]:
    done = gateway.tool("queue", "list", "--json", *words)
    assert done.returncode == 0, done
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_list(filled: Gateway) -> None:
    """The contract's keys, one object a recipient; filters must all fit."""
    lines = _list(filled)
    assert [line["to"] for line in lines] == ["x@one.example", "y@two.example", "z@one.example",
                                              "z@three.example"]
    for line in lines:
        assert {"id", "from", "to", "size", "arrived", "next_try", "attempts", "status",
                "detail"} <= set(line)
        assert line["attempts"] == 0 and line["status"] is None and line["arrived"].endswith("Z")
    first = lines[0]
    assert first["from"] == "a@sender.test" and first["id"] == lines[1]["id"]
    assert 0 < first["size"] < 1000 and lines[3]["size"] > 10000

    def to(*words: str) -> list[str]:
        return [line["to"] for line in _list(filled, *words)]
    assert to("--domain", "ONE.example.") == ["x@one.example", "z@one.example"]
    assert to("--sender", "<>") == ["z@one.example"]
    assert to("--sender", "B@sender.TEST") == ["z@three.example"]
    assert to("--domain", "two.example", "--sender", "<>") == []
    assert to("--older", "3600") == []
    assert to(first["id"]) == ["x@one.example", "y@two.example"]
    assert to(first["id"], "--domain", "one.example") == ["x@one.example"]
    text = filled.tool("queue", "list").stdout
    assert "a@sender.test -> x@one.example" in text and "<> -> z@one.example" in text
    assert text.endswith("4 recipients\n")


def test_show(filled: Gateway) -> None:
    first = _list(filled)[0]["id"]
    done = filled.tool("queue", "show", "--json", first)
    shown = [json.loads(line) for line in done.stdout.splitlines()]
    assert [parcel["next_hop"] for parcel in shown] == ["one.example", "two.example"]
    assert [r["to"] for r in shown[0]["recipients"]] == ["x@one.example"]
    assert shown[0]["recipients"][0]["state"] == "open" and shown[0]["attempts"] == 0
    assert "x@one.example" in filled.tool("queue", "show", first).stdout


def test_hold_release_delete(filled: Gateway) -> None:
    first = _list(filled)[0]["id"]
    assert filled.tool("queue", "hold", "--domain", "one.example").stdout == "hold: 2\n"
    states = {line["to"]: (line["state"], line["next_try"] is None) for line in _list(filled)}
    assert states["x@one.example"] == ("held", True) and states["y@two.example"] == ("ready", False)
    assert filled.tool("queue", "release", first).returncode == 0
    assert [line["to"] for line in _list(filled) if line["state"] == "held"] == ["z@one.example"]
    done = filled.tool("queue", "delete", first, "BCDFGHJKLMNPQRST")
    assert done.returncode == 65 and done.stdout == "delete: 2\n"
    assert [line["to"] for line in _list(filled)] == ["z@one.example", "z@three.example"]
    assert filled.wait_for("control_done", command="delete")["parcels"] == "2"
    assert filled.wait_for("control_command", command="delete")["uid"] == "0"
    assert filled.tool("queue", "delete", "--all").stdout == "delete: 2\n"
    assert _list(filled) == []


def test_bounce(filled: Gateway) -> None:
    """The sender gets a notice with the recipients that it names; a notice's own sender is nobody."""
    first = _list(filled)[0]["id"]
    assert filled.tool("queue", "hold", first).returncode == 0
    assert filled.tool("queue", "bounce", first).stdout == "bounce: 2\n"
    lines = _list(filled)
    assert first not in {line["id"] for line in lines}
    notices = [line for line in lines if line["to"] == "a@sender.test"]
    assert len(notices) == 2 and {line["from"] for line in notices} == {""}
    # Nothing is made of a message without a sender.
    assert filled.tool("queue", "bounce", "--sender", "<>", "--domain", "one.example").stdout == "bounce: 1\n"
    assert sorted(line["to"] for line in _list(filled)) == ["a@sender.test"] * 2 + ["z@three.example"]
    assert filled.tool("queue", "bounce", "--all").stdout == "bounce: 3\n"
    # Only the notice to B is left, and those who bounced were told of nothing.
    assert [line["to"] for line in _list(filled)] == ["B@sender.test"]
    done = filled.tool("queue", "bounce", "BCDFGHJKLMNPQRST")
    assert done.returncode == 65 and done.stdout == "bounce: 0\n"


def test_long_list_is_made_in_slices(filled: Gateway) -> None:
    """Ten thousand lines for a client that reads slowly, while others are answered; nothing twice,
    nothing left out; and one that reads nothing holds no more than a slice."""
    own = filled.config["listeners"][0]["relay"].partition(":")[0]
    to = [f"r{i}@domain{i % 7}.example" for i in range(1000)]
    with smtplib.SMTP(own, 2525, "client.test", timeout=30) as client:
        for i in range(10):
            client.sendmail(f"{i}@many.test", to, f"Subject: {i}\n\nbody\n")
    slow = Client(filled)
    slow.send(b'{"command": "list"}\n')
    assert _list(filled, "--domain", "three.example")
    seen = []
    while "item" in (answer := slow.line()):
        seen.append((answer["item"]["from"], answer["item"]["to"]))
    assert len(seen) == len(set(seen)) == 10004, len(seen)
    assert answer["done"]["parcels"] == 74
