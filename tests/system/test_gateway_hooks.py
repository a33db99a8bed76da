"""The hook process of the gateway (edge/io/hook.h): what it has, what it is, what is said when it
ends. No key of the configuration names a command yet: tests/gateway/serve_with_hooks.c has one."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any, Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from lab import certs
from lab.gateway import Gateway
from lab.pytest_plugin import Daneway, wait_until
from lab.world import World

USER = 717
ASAN_SHADOW = 1 << 30


@pytest.fixture
def gateway(needs_users: None, daneway: Daneway, fresh_world: World) -> Iterator[Gateway]:
    program = daneway.path.parent / "tests/gateway/serve_with_hooks"
    if not program.exists():
        pytest.skip(f"no {program}: build first")
    world = fresh_world
    leaf = certs.self_signed("mx1.hoster.test")
    pem = world.dir / "mx1.pem"
    pem.write_text(leaf.key_pem() + leaf.pem())
    pem.chmod(0o600)
    os.chown(pem, USER, USER)
    made = Gateway(program, world, {
        "certificates": [{"chain": str(pem), "key": str(pem)}],
        "listeners": [{"mx": f"{world.address()}:25"}],
        "domains": {"own.example": {"next_hop": "smtp:[127.0.0.1]:26", "verify": "none"}}})
    world.start()
    # A descriptor that a careless parent left open.
    left = os.open("/dev/zero", os.O_RDONLY)
    made.start(pass_fds=[left])
    os.close(left)
    made.wait()
    made.program = daneway.path  # for tool()
    yield made
    made.stop()


def hooks(gateway: Gateway) -> dict[str, Any]:
    return json.loads(gateway.tool("status", "--json").stdout)["hooks"]


def memory(pid: int) -> bytes:
    pieces = []
    with open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            start, end = (int(n, 16) for n in line.split()[0].split("-"))
            if end - start > ASAN_SHADOW:
                continue
            try:
                mem.seek(start)
                pieces.append(mem.read(end - start))
            except (OSError, OverflowError):  # [vvar], [vsyscall]
                pass
    return b"\0".join(pieces)


def test_it_holds_no_key(gateway: Gateway) -> None:
    """Neither the key nor its file's text is in its memory; in the gateway's the key is found."""
    assert gateway.popen
    pid = hooks(gateway)["pid"]
    text = Path(gateway.config["certificates"][0]["key"]).read_bytes()
    key = load_pem_private_key(text, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    number = key.private_numbers().private_value
    forms = [number.to_bytes(32, "little"), number.to_bytes(32, "big"), text.splitlines()[1]]
    ours, its = memory(gateway.popen.pid), memory(pid)
    assert any(form in ours for form in forms)
    assert len(its) > 100000 and b"/bin/sleep" in its
    assert not any(form in its for form in forms)


def test_what_it_is(gateway: Gateway) -> None:
    """No descriptors but a socket, another user, no capability, nothing to be gained, no filter."""
    pid = hooks(gateway)["pid"]
    links = {int(p.name): os.readlink(p) for p in Path(f"/proc/{pid}/fd").iterdir()}
    assert set(links) == {0, 1, 2, 3} and links[3].startswith("socket:"), links
    assert links[0] == links[1] == "/dev/null"
    status = Path(f"/proc/{pid}/status").read_text()
    assert re.findall(r"^[UG]id:\s+(\d+)\s+(\d+)\s+(\d+)", status, re.M) == [(str(USER),) * 3] * 2
    assert set(re.findall(r"^Cap(?:Inh|Prm|Eff|Bnd|Amb):\s+(\w+)", status, re.M)) == {"0" * 16}
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.M) and re.search(r"^Threads:\s+1$", status, re.M)
    assert re.search(r"^Seccomp:\s+0$", status, re.M)


def test_its_end_is_told(gateway: Gateway) -> None:
    """In the log and in `daneway status`; mail goes on."""
    assert gateway.popen
    pid = hooks(gateway)["pid"]
    assert hooks(gateway)["state"] == "running"
    assert "hooks" not in gateway.tool("status").stdout
    os.kill(pid, signal.SIGTERM)  # which is the gateway's affair
    assert hooks(gateway)["state"] == "running"
    os.kill(pid, signal.SIGKILL)
    gateway.wait_for("hooks_lost")
    assert hooks(gateway)["state"] == "lost"
    assert "hooks      LOST" in gateway.tool("status").stdout
    assert gateway.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_the_gateway(gateway: Gateway, number: signal.Signals) -> None:
    assert gateway.popen
    pid = hooks(gateway)["pid"]
    gateway.signal(number)
    gateway.popen.wait(15)

    def gone() -> bool:
        try:
            return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return True
    assert wait_until(gone)
