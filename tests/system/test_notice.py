"""Delivery status notifications, from the failed delivery to the sender's own server (RFC 3461, 3464)."""

from __future__ import annotations

import email
import email.message
import os
import smtplib
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator

import pytest

from lab.gateway import Gateway
from lab.namespace import HOME
from lab.postfix import Postfix
from lab.pytest_plugin import Daneway, wait_until
from lab.smtp_server import EXTENSIONS, Smtp, SmtpServer
from lab.world import World

# Domain: what its server does.
SERVERS = {
    "takes.example": Smtp(hostname="mx.takes.example"),
    "dsn.example": Smtp(hostname="mx.dsn.example", extensions=[*EXTENSIONS, "DSN"]),
    "refuses.example": Smtp(hostname="mx.refuses.example", replies={
        "RCPT": "550 5.1.1 no such user\nX-Injected: yes",
        "RCPT:good@refuses.example": "250 2.1.5 ok"}),
    "later.example": Smtp(hostname="mx.later.example", replies={"RCPT": "450 4.2.1 not now"}),
}


@dataclass
class Site:
    world: World
    gateway: Gateway
    relay: str
    home: SmtpServer                  # of own.example, where notices go
    servers: dict[str, SmtpServer]
    seen: dict[int, tuple[int, int]] = field(default_factory=dict)

    def submit(self, to: list[str], sender: str = "alice@own.example", mail: str = "",
               rcpt: str = "", text: bytes = b"") -> str:
        """The id under which it is queued."""
        with smtplib.SMTP(self.relay, 25, "client.test", timeout=20) as client:
            client.ehlo()
            code, reply = client.docmd(f"MAIL FROM:<{sender}>{mail}")
            assert code == 250, reply
            for one in to:
                code, reply = client.docmd(f"RCPT TO:<{one}>{rcpt}")
                assert code == 250, reply
            code, reply = client.data(text or b"Subject: hello\r\nX-Own: 1\r\n\r\nThe body.\r\n")
            assert code == 250, reply
            return reply.decode().split()[-1]

    def mark(self) -> None:
        """What was before is no longer looked at; sessions are kept and used again."""
        self.seen = {id(s): (len(s.commands), len(s.messages))
                     for server in [self.home, *self.servers.values()] for s in server.sessions}

    def commands(self, server: SmtpServer) -> list[str]:
        return [c for s in list(server.sessions) for c in s.commands[self.seen.get(id(s), (0, 0))[0]:]]

    def messages(self, server: SmtpServer) -> list[email.message.Message]:
        return [email.message_from_string(m["data"]) for s in list(server.sessions)
                for m in s.messages[self.seen.get(id(s), (0, 0))[1]:]]

    def notices(self, count: int) -> list[email.message.Message]:
        """All that have come; there are `count`, and no more are on their way."""
        assert wait_until(lambda: len(self.messages(self.home)) >= count), self.gateway.text()[-3000:]
        assert wait_until(lambda: not self.gateway.tool("queue", "list", "--json").stdout)
        assert len(self.messages(self.home)) == count, self.gateway.text()[-3000:]
        return self.messages(self.home)


@pytest.fixture(scope="module")
def whole(daneway: Daneway) -> Iterator[Site]:
    world = World("notice")
    servers = {}
    for domain, behaviour in SERVERS.items():
        servers[domain] = world.add_smtp(behaviour)
        world.add_zone(domain, ["@ MX 10 mx", f"mx A {servers[domain].addresses[0]}"])
    home = world.add_smtp(Smtp(hostname="home.test"))
    relay = world.address()
    gateway = Gateway(daneway.path, world, {
        "listeners": [{"relay": f"{relay}:25", "networks": ["198.18.0.0/15"], "tls": "none"}],
        "queue": {"retry": ["2s"], "delay_notice": "1s"},
        "domains": {"own.example": {"next_hop": f"smtp:[{home.addresses[0]}]:25", "tls": "none",
                                    "verify": "none"}}})
    world.add_daemon(gateway)
    world.start()
    yield Site(world, gateway, relay, home, servers)
    world.stop()


@pytest.fixture
def site(whole: Site) -> Site:
    whole.gateway.tool("queue", "delete", "--all")
    whole.mark()
    return whole


def _groups(notice: email.message.Message) -> list[email.message.Message]:
    """The fields of the message and of each recipient."""
    assert notice.get_content_type() == "multipart/report"
    assert notice.get_param("report-type") == "delivery-status"
    assert notice["Auto-Submitted"] == "auto-replied"
    text, status, _ = notice.get_payload()
    assert text.get_content_type() == "text/plain" and not text.defects
    assert status.get_content_type() == "message/delivery-status"
    return status.get_payload()


def test_refused(site: Site) -> None:
    """One of two is refused: he alone stands in it, with what the server said."""
    queued = site.submit(["bob@refuses.example", "good@refuses.example"], mail=" ENVID=QQ+2B1 RET=HDRS",
                         rcpt=" ORCPT=rfc822;B+2Bb@old.example")
    notice, = site.notices(1)
    commands = site.commands(site.home)
    assert any(c.startswith("MAIL FROM:<>") for c in commands), commands
    assert any(c.startswith("RCPT TO:<alice@own.example>") for c in commands)
    assert notice["To"] == "<alice@own.example>" and notice["From"].endswith("<postmaster@mx1.hoster.test>")
    whole, bob = _groups(notice)
    assert whole["Reporting-MTA"] == "dns; mx1.hoster.test" and whole["Original-Envelope-Id"] == "QQ+1"
    assert whole["X-Daneway-Id"] == queued
    assert bob["Final-Recipient"] == "rfc822; bob@refuses.example"
    assert bob["Original-Recipient"] == "rfc822; B+b@old.example"
    assert (bob["Action"], bob["Status"]) == ("failed", "5.1.1")
    assert bob["Remote-MTA"] == "dns; mx.refuses.example"
    assert bob["Diagnostic-Code"].startswith("smtp; 550 5.1.1 no such user")
    assert "X-Injected" not in {*bob.keys(), *whole.keys(), *notice.keys()}
    assert "no such mailbox" in notice.get_payload()[0].get_payload()
    header = notice.get_payload()[2]
    assert header.get_content_type() == "text/rfc822-headers"
    assert "X-Own: 1" in header.get_payload() and "The body." not in notice.as_string()


def test_whole_message_on_request(site: Site) -> None:
    site.submit(["bob@refuses.example"], mail=" RET=FULL")
    notice, = site.notices(1)
    assert notice.get_payload()[2].get_content_type() == "message/rfc822"
    assert "The body." in notice.get_payload()[2].get_payload()[0].get_payload()


def test_who_hears_nothing(site: Site) -> None:
    """NOTIFY=NEVER and NOTIFY=DELAY of a failure; a message that is a bounce itself."""
    site.submit(["bob@refuses.example"], rcpt=" NOTIFY=NEVER")
    site.submit(["bob@refuses.example"], rcpt=" NOTIFY=DELAY")
    site.submit(["bob@refuses.example"], sender="")
    assert site.notices(0) == []
    assert sum("RCPT" in c for c in site.commands(site.servers["refuses.example"])) == 3


def test_notice_about_a_notice(site: Site) -> None:
    """The sender's own server refuses it: that is the end of it."""
    refuses = site.servers["refuses.example"]
    site.submit(["bob@refuses.example"], sender="eve@refuses.example")
    assert wait_until(lambda: sum("RCPT" in c for c in site.commands(refuses)) == 2)
    assert site.notices(0) == []
    commands = site.commands(refuses)
    assert sum("RCPT" in c for c in commands) == 2, commands
    assert any("RCPT TO:<eve@refuses.example>" in c for c in commands), commands


def test_success(site: Site) -> None:
    """Asked for: "relayed" where the next server does no DSN (RFC 3461 section 5.2.2)."""
    site.submit(["bob@takes.example"], rcpt=" NOTIFY=SUCCESS,FAILURE")
    notice, = site.notices(1)
    _, bob = _groups(notice)
    assert (bob["Action"], bob["Status"][0]) == ("relayed", "2")
    commands = site.commands(site.servers["takes.example"])
    assert not any("NOTIFY" in c for c in commands), commands


def test_success_is_passed_on(site: Site) -> None:
    """Where it does, it is told, and we say nothing (section 5.2.1)."""
    site.submit(["bob@dsn.example"], mail=" ENVID=e1 RET=FULL",
                rcpt=" NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@old.example")
    assert wait_until(lambda: site.messages(site.servers["dsn.example"]) != [])
    assert site.notices(0) == []
    commands = site.commands(site.servers["dsn.example"])
    mail = next(c for c in commands if c.startswith("MAIL"))
    rcpt = next(c for c in commands if c.startswith("RCPT"))
    assert mail.endswith(" RET=FULL ENVID=e1"), mail
    assert rcpt.endswith(" NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@old.example"), rcpt


def test_delay_is_told_once(site: Site) -> None:
    """Q9."""
    site.submit(["bob@later.example"])
    later = site.servers["later.example"]
    assert wait_until(lambda: sum("RCPT" in c for c in site.commands(later)) >= 4, 30)
    time.sleep(0.5)
    notice, = site.messages(site.home)
    _, bob = _groups(notice)
    assert (bob["Action"], bob["Status"]) == ("delayed", "4.2.1") and bob["Will-Retry-Until"]
    assert bob["Diagnostic-Code"] == "smtp; 450 4.2.1 not now"


def test_dane_in_words(needs_users: None, world: World, tmp_path: Path) -> None:
    """Given up (Q8) for a TLSA record that does not match: the sender reads why, and who must do what."""
    program = Path(os.environ.get("DANEWAY", str(HOME / "build/daneway"))).parent / "tests/queue/queue_drive"
    if not program.exists():
        pytest.skip(f"no {program}")
    done = subprocess.run([program, tmp_path / "q", world.root_hints, world.trust_anchor], text=True,
                          input="set dane_lifetime 0\nput n1@good.example q@mismatch.example 3000\nrun 20\n",
                          capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr[-3000:]
    postfix = next(d for d in world.daemons if isinstance(d, Postfix))
    assert wait_until(lambda: "n1@good.example" in postfix.mailbox.read_text()), done.stderr[-3000:]
    text = postfix.mailbox.read_text()
    text = text[text.rindex("\nFrom: Mail Delivery System"):]
    assert "q@mismatch.example" in text and "5.7.323" in text
    assert "could not be authenticated by SMTP DANE" in text
    assert "The recipient's postmaster must publish TLSA records" in " ".join(text.split())
    assert "mx.mismatch.example" in text
