"""kill -9 of the gateway at any moment: what was answered with 250 arrives, all of it."""

from __future__ import annotations

import os
import random
import re
import signal
import smtplib
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Iterator

import pytest

from lab import standard
from lab.gateway import Gateway
from lab.pytest_plugin import Daneway, wait_until
from lab.world import World

ROUNDS = int(os.environ.get("DANEWAY_CRASH_ROUNDS", "5"))
SENDERS = 4
LARGE = 100 * 1024  # such a body goes to a file


class Senders:
    """Threads that hand in messages, each with a number, and note which were answered with 250."""

    def __init__(self, address: str, port: int) -> None:
        self.at = address, port
        self.accepted: list[str] = []
        self.unsure: set[str] = set()  # sent whole, and no answer came
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def _run(self, thread: int) -> None:
        number = 0
        while not self._stop.is_set():
            try:
                with smtplib.SMTP(*self.at, timeout=10) as smtp:
                    for _ in range(20):
                        number += 1
                        self._send(smtp, f"{thread}-{number}")
                        if self._stop.is_set():
                            return
            except (OSError, smtplib.SMTPException):
                time.sleep(0.02)

    def _send(self, smtp: smtplib.SMTP, mark: str) -> None:
        text = f"Subject: crash\r\nX-Mark: {mark}\r\n\r\n"
        if random.random() < 0.1:
            text += ("x" * 76 + "\r\n") * (LARGE // 78)
        self.unsure.add(mark)
        smtp.sendmail("crash@sender.example", ["bob@good.example"], text)
        self.accepted.append(mark)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture(scope="module")
def site() -> Iterator[World]:
    world = standard.build(World("crash"))
    world.start()
    yield world
    world.stop()


def _marks(mailbox: Path) -> Counter[str]:
    return Counter(re.findall(r"^X-Mark: (\S+)$", mailbox.read_text(errors="replace"), re.M))


@pytest.mark.usefixtures("needs_users")
def test_killed_at_any_moment(daneway: Daneway, site: World) -> None:
    address = site.address()
    gateway = Gateway(daneway.path, site, {
        "listeners": [{"relay": f"{address}:2525", "networks": ["198.18.0.0/15"], "tls": "none"}],
        "limits": {"connections_per_client": 1000},
        # A session that was cut must not keep its recipient waiting for a quarter of an hour.
        "queue": {"retry": ["1s"]},
    })
    gateway.start()
    gateway.wait()
    senders = Senders(address, 2525)
    dice = random.Random(ROUNDS)
    try:
        for _ in range(ROUNDS):
            time.sleep(dice.uniform(0.05, 1.5))
            assert gateway.popen
            gateway.popen.send_signal(signal.SIGKILL)
            gateway.popen.wait()
            gateway.log.write_text("")
            gateway.start()
            gateway.wait(60)
        time.sleep(0.5)
    finally:
        senders.stop()
    mailbox = Path(site.hosts["good.example"]["mailbox"])
    wanted = set(senders.accepted)
    try:
        assert wait_until(lambda: wanted <= set(_marks(mailbox)), 120), \
            f"lost: {sorted(wanted - set(_marks(mailbox)))[:20]} of {len(wanted)}"
    finally:
        gateway.stop()
    arrived = _marks(mailbox)
    copies = sum(n - 1 for n in arrived.values())
    print(f"{ROUNDS} kills, {len(wanted)} accepted, 0 lost, {copies} copies")
    assert len(wanted) > 50 * ROUNDS or ROUNDS < 3
    # Of each delivery under way when it was cut at most one more copy; nothing out of nowhere.
    assert set(arrived) <= senders.unsure
    assert max(arrived.values(), default=0) <= ROUNDS + 1
    assert copies <= ROUNDS * 200


def test_nothing_is_kept_of_a_message_that_was_cut(daneway: Daneway, site: World) -> Any:
    """The client goes away before the end of its message: there is nothing in the queue."""
    address = site.address()
    gateway = Gateway(daneway.path, site, {
        "listeners": [{"relay": f"{address}:2525", "networks": ["198.18.0.0/15"], "tls": "none"}]})
    gateway.start()
    try:
        gateway.wait()
        smtp = smtplib.SMTP(address, 2525, timeout=10)
        smtp.ehlo()
        smtp.mail("a@sender.example")
        smtp.rcpt("bob@good.example")
        smtp.putcmd("DATA")
        assert smtp.getreply()[0] == 354
        smtp.send("Subject: half\r\n\r\n" + "x" * 200000)
        assert smtp.sock
        smtp.sock.close()
        time.sleep(0.5)
        done = gateway.tool("queue", "list", "--json")
        assert (done.returncode, done.stdout) == (0, "")
        assert not [p for p in (gateway.state / "queue").rglob("*") if p.suffix == ".msg"]
    finally:
        gateway.stop()
