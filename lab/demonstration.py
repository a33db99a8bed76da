"""What `make demo` shows, inside the lab: a real message to a real Postfix and a real Exim,
authenticated by DANE; an attacker in the path who gets not one octet of it; and, for contrast, the
same attacker and a sender without DANE.

Each step says what is done, prints the commands as one would type them, and checks what came of it:
the demonstration fails if it does not show what it claims.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Sequence

from lab.attacker import Attacker
from lab.namespace import many_users
from lab.world import World

SECRET = "The offer stands at 4,750,000; tell nobody."
MESSAGE = f"""From: alice@sender.example
To: bob@good.example
Subject: the offer

{SECRET}
"""
COLOUR = sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def paint(text: str, code: str) -> str:
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def title(text: str) -> None:
    print("\n" + paint(text, "1") + "\n", flush=True)


class Demo:
    def __init__(self, world: World, daneway: Path) -> None:
        self.world, self.daneway = world, daneway
        self.options = ["--root-hints", str(world.root_hints),
                        "--trust-anchor", str(world.trust_anchor)]

    def run(self, *args: str, stdin: str = "", via: Sequence[str] = ()) -> tuple[int, str]:
        shown = " ".join(f"'{a}'" if " " in a or "<" in a else a for a in args)
        print(paint(f"$ daneway {shown}" + (" < message" if stdin else ""), "36"), flush=True)
        done = subprocess.run([*via, str(self.daneway), args[0], *self.options, *args[1:]],
                              input=stdin, text=True, capture_output=True, timeout=120)
        if done.stderr:
            print(done.stderr, end="")
        return done.returncode, done.stdout

    def deliver(self, to: str, *args: str, via: Sequence[str] = ()) -> dict[str, Any]:
        code, out = self.run("deliver", *args, "--from", "alice@sender.example", "--to", to,
                             stdin=MESSAGE, via=via)
        result = json.loads(out)
        print(f"  {result['result']} {result['status']} (exit {code})")
        print(f"  {result['detail']}")
        for attempt in result["attempts"]:
            tls = attempt["tls"]
            how = (f"{tls['version']} {tls['cipher']}, authenticated: {tls['authenticated']}"
                   + (f" by {tls['matched']}" if tls["matched"] else "")) if tls else "no TLS"
            print(f"  {attempt['host']} [{attempt['address']}] level {attempt['level']}: {how}")
        return result

    def received(self, domain: str) -> bool:
        """Whether the real server behind `domain` has the message."""
        mailbox = Path(self.world.hosts[domain]["mailbox"])
        for _ in range(100):
            if mailbox.exists() and SECRET in mailbox.read_text(errors="replace"):
                return True
            time.sleep(0.1)
        return False

    # --- the steps

    def policy(self) -> None:
        title("1. What must a sender do for good.example? The answer is in the DNS, signed.")
        code, out = self.run("policy", "--explain", "good.example")
        print("  " + out.rstrip().replace("\n", "\n  "))
        assert code == 0 and "authenticated by DANE" in out

    def real_mail(self) -> None:
        title("2. A real message to a real Postfix and a real Exim, authenticated by DANE")
        for domain, server in (("good.example", "Postfix"), ("good-exim.example", "Exim")):
            result = self.deliver(f"bob@{domain}")
            assert result["result"] == "delivered"
            assert result["attempts"][-1]["tls"]["authenticated"] == "dane-ee"
            assert self.received(domain), f"{server} did not get it"
            print(f"  {server} has it in bob's mailbox.\n")

    def attacked(self, attacker: Attacker, mode: str, words: str, forged: Sequence[str] = ()) -> None:
        print(paint(f"The attacker {words}.", "33"))
        attacker.attack(mode, forged)
        result = self.deliver("bob@good.example", via=attacker.sender)
        loot = attacker.loot()
        assert result["result"] == "deferred", "the message must wait"
        assert SECRET not in loot and "alice" not in loot, "the attacker read something"
        print(f"  The attacker read {len(loot)} octets (EHLO, STARTTLS, QUIT), of the message "
              "none.\n" if loot else "  The attacker read nothing at all.\n")
        attacker.calm()

    def attacks(self, attacker: Attacker) -> None:
        title("3. Now an attacker sits in the path between sender and receiver")
        self.attacked(attacker, "strip", "takes STARTTLS out of the server's answer")
        self.attacked(attacker, "mitm", "offers a certificate of his own")
        self.attacked(attacker, "forge", "forges the TLSA record too, with the hash of his key",
                      ["_25._tcp.mx.good.example. TLSA 3 1 1 {key}"])
        print(paint("The attacker only passes packets on again.", "33"))
        assert self.deliver("bob@good.example", via=attacker.sender)["result"] == "delivered"
        assert SECRET not in attacker.loot()

    def contrast(self, attacker: Attacker) -> None:
        title("4. The same attacker, and senders that do not do DANE")
        for mode, words in (("strip", "takes STARTTLS out"), ("mitm", "offers his certificate")):
            print(paint(f"The attacker {words}; daneway with DANE switched off:", "33"))
            attacker.attack(mode)
            self.deliver("bob@good.example", "--mode", "none", via=attacker.sender)
            loot = attacker.loot()
            assert SECRET in loot
            line = next(line for line in loot.splitlines() if SECRET in line)
            print(paint(f"  The attacker read: {line}\n", "31"))
            attacker.calm()
        print(paint("The attacker takes STARTTLS out; Postfix with smtp_tls_security_level = may:",
                    "33"))
        self.world.add_resolver(via=attacker.sender)
        sender = self.world.add_sender("may", via=attacker.sender)
        attacker.attack("strip")
        sender.submit("alice@sender.example", ["bob@good.example"], MESSAGE.encode())
        for _ in range(150):
            if SECRET in attacker.loot():
                break
            time.sleep(0.1)
        assert SECRET in attacker.loot(), "Postfix's message did not pass"
        print(paint(f"  The attacker read: {SECRET}", "31"))


def main() -> int:
    daneway = Path(os.environ["DANEWAY"])
    started = time.monotonic()
    print("A private internet inside namespaces: signed root, TLDs and domains on Knot DNS,\n"
          "real Postfix and Exim as receivers. Nothing of it is left afterwards.")
    world = World.standard()
    world.start()
    try:
        demo = Demo(world, daneway)
        demo.policy()
        if not many_users():
            print("Postfix and Exim need several users; see lab/README.md. The rest is skipped.")
            return 0
        demo.real_mail()
        attacker = world.add_daemon(Attacker(world, "demo"))
        demo.attacks(attacker)
        demo.contrast(attacker)
        title(f"All as claimed, in {time.monotonic() - started:.0f} seconds.")
    finally:
        world.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
