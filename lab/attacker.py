"""An attacker in the path between the sender and everybody else.

Three network namespaces: the sender's, the attacker's (a router), and the lab's own, where all
servers are. By policy routing the router treats packets *from the sender* for some ports as its
own, so its transparent proxies end those connections in the victim's name, while its own connections
to the same addresses go on to the real servers.

    attacker = Attacker(world)
    attacker.start()
    attacker.attack("strip")
    subprocess.run([*attacker.sender, "daneway", "deliver", ...])
    attacker.loot()        # everything it could read
    attacker.calm()        # plain router again
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Sequence

from lab.namespace import HOME, LabError, run

if TYPE_CHECKING:
    from lab.world import World

MODES = {
    "relay": "copies octets untouched, reads along",
    "strip": "takes STARTTLS out of the EHLO reply and refuses the command",
    "mangle": "writes XXXXXXXX over STARTTLS, as some firewalls did",
    "mitm": "offers a certificate of its own and relays what it decrypts",
    "forge": "as mitm, and forges DNS answers: TLSA records of its own key",
    "redirect": "forges MX and address records so that mail comes to its own server",
}
TABLE = "100"


class Attacker:
    """Namespaces NAME-snd and NAME-att. Runs only as root of the lab."""

    def __init__(self, world: World, name: str = "lab") -> None:
        self.dir = world.dir / f"attacker-{name}"
        self.dir.mkdir()
        self.snd, self.att = f"{name}-snd", f"{name}-att"
        self.name, self.world = name, world
        self._proxy: subprocess.Popen | None = None

    @property
    def sender(self) -> list[str]:
        """Command prefix that runs something where the sender is."""
        return ["ip", "netns", "exec", self.snd]

    def start(self) -> None:
        up, down = f"{self.name}-up", f"{self.name}-down"
        n = 64 + self.world.addresses.block  # several attackers at once have their own networks
        for namespace in (self.snd, self.att):
            run("ip", "netns", "add", namespace)
            for part in ("all", "default"):
                self._sysctl(namespace, f"net/ipv6/conf/{part}/accept_dad", "0")
        # main (up) <-> (up0) att (down0) <-> (down) snd
        run("ip", "link", "add", up, "type", "veth", "peer", "name", "up0", "netns", self.att)
        run("ip", "-n", self.att, "link", "add", "down0", "type", "veth", "peer", "name", down,
            "netns", self.snd)
        self._addresses("", up, f"10.{n}.1.1/30", f"fd00:{n}:1::1/64")
        self._addresses(self.att, "up0", f"10.{n}.1.2/30", f"fd00:{n}:1::2/64")
        self._addresses(self.att, "down0", f"10.{n}.2.1/30", f"fd00:{n}:2::1/64")
        self._addresses(self.snd, down, f"10.{n}.2.2/30", f"fd00:{n}:2::2/64")
        for family, sender_net, main, att_up, att_down in (
                ("-4", f"10.{n}.2.0/30", f"10.{n}.1.1", f"10.{n}.1.2", f"10.{n}.2.1"),
                ("-6", f"fd00:{n}:2::/64", f"fd00:{n}:1::1", f"fd00:{n}:1::2", f"fd00:{n}:2::1")):
            run("ip", family, "route", "add", sender_net, "via", att_up)
            run("ip", family, "-n", self.att, "route", "add", "default", "via", main)
            run("ip", family, "-n", self.snd, "route", "add", "default", "via", att_down)
            run("ip", family, "-n", self.att, "route", "add", "local", "default", "dev", "lo",
                "table", TABLE)
        self._sysctl(self.att, "net/ipv4/ip_forward", "1")
        self._sysctl(self.att, "net/ipv6/conf/all/forwarding", "1")
        self._sysctl(self.att, "net/ipv6/ip_nonlocal_bind", "1")

    def wait(self) -> None:
        pass

    @staticmethod
    def _sysctl(namespace: str, key: str, value: str) -> None:
        run("ip", "netns", "exec", namespace, "sh", "-c", f"echo {value} > /proc/sys/{key}")

    @staticmethod
    def _addresses(namespace: str, device: str, v4: str, v6: str) -> None:
        at = ["-n", namespace] if namespace else []
        run("ip", *at, "link", "set", "lo", "up")
        run("ip", *at, "addr", "add", v4, "dev", device)
        run("ip", *at, "-6", "addr", "add", v6, "dev", device, "nodad")
        run("ip", *at, "link", "set", device, "up")

    # --- attacks

    def _rules(self, verb: str, ports: Sequence[tuple[str, int]]) -> None:
        for family in ("-4", "-6"):
            for protocol, port in ports:
                run("ip", family, "-n", self.att, "rule", verb, "iif", "down0", "ipproto", protocol,
                    "dport", str(port), "lookup", TABLE)

    def attack(self, mode: str, forged: Sequence[str] = ()) -> None:
        """Starts an attack (see MODES). `forged`: zone-file lines "owner type data" for answers to
        forge; "{key}" in them is the SHA-256 of the attacker's public key; data "-" says that there
        is nothing."""
        if mode not in MODES:
            raise ValueError(f"unknown attack: {mode}")
        self.calm()
        ports = [("tcp", 25)]
        if mode in ("forge", "redirect"):
            ports += [("udp", 53), ("tcp", 53)]
        plan = {"mode": mode, "dir": str(self.dir), "forged": list(forged)}
        argv = ["ip", "netns", "exec", self.att, sys.executable, "-m", "lab.interceptor",
                json.dumps(plan)]
        self._proxy = subprocess.Popen(argv, cwd=HOME, stdout=subprocess.PIPE, text=True)
        assert self._proxy.stdout
        if self._proxy.stdout.readline().strip() != "ready":
            raise LabError("the attacker did not start")
        self._rules("add", ports)
        self._ports = ports

    def calm(self) -> None:
        """Ends the attack: a plain router, which also forgets what it read."""
        if self._proxy:
            self._rules("del", self._ports)
            self._proxy.kill()
            self._proxy.wait()
            self._proxy = None
        self.forget()

    def forget(self) -> None:
        self.loot_file.write_text("")

    @property
    def loot_file(self) -> Path:
        return self.dir / "loot.txt"

    def loot(self) -> str:
        """What the sender said that the attacker could read: clear text, or decrypted."""
        return self.loot_file.read_text(errors="replace")

    def stop(self) -> None:
        self.calm()
        for namespace in (self.snd, self.att):
            subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", f"{self.name}-up"], check=False, capture_output=True)
