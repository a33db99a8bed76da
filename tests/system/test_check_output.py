"""The faces of `daneway check`, each read by somebody else's parser, and hostile texts in all."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Iterator

import pytest

from lab import certs
from lab.pytest_plugin import Daneway
from lab.smtp_server import Smtp, Tls
from lab.world import World
from program import Done, Program

DOMAINS = {  # of the standard world
    "good.example": ("dane", 0), "v6.example": ("dane", 0), "implicit.example": ("dane", 0),
    "nodane.example": ("none", 1), "null.example": ("none", 1), "insecure.plain": ("none", 1),
    "unusable.example": ("partial", 1), "mismatch.example": ("broken", 2),
    "expired.example": ("broken", 2), "nowhere.example": ("broken", 2)}
NAGIOS = {0: "OK", 1: "WARNING", 2: "CRITICAL", 3: "UNKNOWN"}
STATES = ["dane", "none", "partial", "unknown", "broken"]
# Steers a terminal, turns text, is markup, ends a label, a line, performance data.
HOSTILE = "\x1b]0;x\x07\x1b[31m\u202e<script>alert('1\")</script>&\\|\u009b2J"


@pytest.fixture(scope="module")
def standard(daneway: Daneway, world: World) -> Program:
    return Program(daneway, world)


def check(program: Program, *args: str | Path, **how: Any) -> Done:
    return program("check", *args, **how)


# --- JSON -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("domain", DOMAINS)
def test_verdicts_and_exit_codes(daneway: Daneway, world: World, domain: str) -> None:
    code, result, err = daneway.run(world, "check", domain)  # which checks the schema
    assert (result["domain"], result["verdict"], code) == (domain, *DOMAINS[domain]), result
    assert err == ""


def test_the_schema_refuses(daneway: Daneway, world: World) -> None:
    """It is no schema of everything."""
    from lab.pytest_plugin import validator
    _, good, _ = daneway.run(world, "check", "good.example")
    assert validator().is_valid(good)
    for key in ("domain", "verdict", "checks"):
        assert not validator().is_valid({k: v for k, v in good.items() if k != key})
    for key in ("id", "subject", "status", "title", "detail", "fix", "depth", "senders"):
        bad = json.loads(json.dumps(good))
        del bad["checks"][0][key]
        assert not validator().is_valid(bad), key
    for key, value in (("id", "Bad Id"), ("status", "fine"), ("depth", -1), ("fix", 1)):
        bad = json.loads(json.dumps(good))
        bad["checks"][0][key] = value
        assert not validator().is_valid(bad), key


def test_the_worst_of_several(standard: Program) -> None:
    for domains, code in ((["good.example", "v6.example"], 0),
                          (["good.example", "nodane.example"], 1),
                          (["nodane.example", "not a domain"], 3),
                          (["mismatch.example", "not a domain", "good.example"], 2)):
        done = check(standard, "--json", *domains)
        assert done.code == code and len(done.out.splitlines()) == len(domains)


# --- Nagios ---------------------------------------------------------------------------------------

PERFORMANCE = re.compile(r"'?[\w]+'?=-?[\d.]+(s|%|)(;[\d.]*){0,4}")


def nagios(done: Done) -> tuple[str, list[str]]:
    """The status line's text and the long output; performance data is read strictly."""
    first, *more = done.out.decode().splitlines()
    text, bar, performance = first.partition(" | ")
    assert bar and "|" not in text and "|" not in performance and not any("|" in m for m in more)
    assert all(PERFORMANCE.fullmatch(word) for word in performance.split()), performance
    return text, more


@pytest.mark.parametrize("domain", DOMAINS)
def test_nagios(standard: Program, domain: str) -> None:
    done = check(standard, "--nagios", domain)
    text, more = nagios(done)
    verdict, code = DOMAINS[domain]
    assert done.code == code and text.startswith(f"DANE {NAGIOS[code]} - {domain}: {verdict}")
    assert bool(more) == any(s in done.out.decode() for s in ("fail ", "warn ")), more
    if verdict == "broken":
        assert more[0].startswith("fail ") or more[0].startswith("warn ")


def test_nagios_of_several_has_one_status_line(standard: Program) -> None:
    done = check(standard, "--nagios", "good.example", "nodane.example", "mismatch.example")
    text, more = nagios(done)
    assert text == "DANE CRITICAL - 3 domains: 1 broken, 1 none, 1 dane" and done.code == 2
    assert sorted(m.split(":")[0] for m in more) == ["mismatch.example", "nodane.example"]


def test_nagios_never_ends_with_another_code(standard: Program, tmp_path: Path) -> None:
    for args in (["--nagios"], ["--nagios", "--frobnicate", "x.example"],
                 ["x.example", "--nagios", "--helo", "a b"],
                 ["--nagios", "--openmetrics", "x.example"],
                 ["--nagios", "--trust-anchor", tmp_path / "none", "x.example"]):
        done = check(standard, *args)
        assert done.code == 3 and done.out.startswith(b"DANE UNKNOWN - "), args
        assert done.err.count("\n") == 1
    assert check(standard).complains(64, "which domain")
    assert check(standard, "--frobnicate", "x.example").complains(64, "frobnicate")


# --- OpenMetrics ----------------------------------------------------------------------------------


def samples(text: str) -> dict[str, list[Any]]:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families
    return {f.name: f.samples for f in text_string_to_metric_families(text)}


def test_openmetrics(standard: Program) -> None:
    done = check(standard, "--openmetrics", *DOMAINS, "good.example", "not a domain")
    found = samples(done.out.decode())
    assert done.code == 2 and set(found) == {f"daneway_check_{name}" for name in (
        "verdict", "findings", "session", "certificate_not_after_seconds", "duration_seconds",
        "time_seconds")}
    verdicts: dict[str, dict[str, float]] = {}
    for s in found["daneway_check_verdict"]:
        verdicts.setdefault(s.labels["domain"], {})[s.labels["daneway_check_verdict"]] = s.value
    wanted = {**{d: v for d, (v, _) in DOMAINS.items()}, "not a domain": "unknown"}
    assert verdicts == {d: {state: float(state == v) for state in STATES}
                        for d, v in wanted.items()}
    failed = {(s.labels["domain"], s.labels["key"]) for s in found["daneway_check_session"]
              if s.labels["daneway_check_session"] == "fail" and s.value == 1}
    assert failed == {("mismatch.example", "ECDSA")}
    (end,) = [s for s in found["daneway_check_certificate_not_after_seconds"]
              if s.labels["domain"] == "v6.example"]
    assert end.labels["host"] == "mx.v6.example" and ":" in end.labels["address"]
    at = next(s.value for s in found["daneway_check_time_seconds"])
    assert 29 * 86400 < end.value - at < 31 * 86400
    assert all(0 < s.value < 60 for s in found["daneway_check_duration_seconds"]
               if s.labels["domain"] != "not a domain")


# --- HTML -----------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a browser makes of it: elements, text, and nothing that is fetched or run."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        text = path.read_text(encoding="utf-8")
        self.feed(text)
        root = ElementTree.fromstring(text.partition("\n")[2])  # well-formed besides
        assert root.tag.endswith("html")
        names = {tag for tag, _ in self.tags}
        assert not names & {"script", "link", "img", "iframe", "object", "form", "base", "svg"}
        for _, attributes in self.tags:
            assert not [a for a in attributes if a.startswith("on") or a == "src"]
            assert (attributes.get("href") or "#").startswith("#")
        assert "url(" not in text and "@import" not in text

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


def test_html(standard: Program, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    done = check(standard, "--json", "--html", path, *DOMAINS)
    page = Page(path)
    assert done.code == 2 and len(done.out.splitlines()) == len(DOMAINS)  # besides, not instead
    sections = [a["id"] for tag, a in page.tags if tag == "section"]
    assert len(sections) == len(DOMAINS) == len(set(sections))
    assert {a["href"] for tag, a in page.tags if tag == "a"} == {f"#{s}" for s in sections}
    assert all(domain in page.words for domain in DOMAINS)
    assert "The certificate matches no TLSA record" in page.words
    viewport = [a for tag, a in page.tags if tag == "meta" and a.get("name") == "viewport"]
    assert viewport and "prefers-color-scheme:dark" in path.read_text()
    # One domain needs no index.
    check(standard, "--html", path, "good.example")
    assert not [tag for tag, _ in Page(path).tags if tag == "nav"]


def test_html_whole_or_not_at_all(standard: Program, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")
    path.chmod(0o644)
    assert check(standard, "--html", "/dev/full", "good.example").code == 74
    assert check(standard, "--html", path / "x", "good.example").code == 74
    assert check(standard, "--html", "", "good.example").complains(64, "--html")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    assert check(standard, "--html", path, "good.example").code == 0
    assert Page(path).words and list(tmp_path.iterdir()) == [path]


# --- text -----------------------------------------------------------------------------------------


def on_terminal(program: Program, *args: str, columns: int = 100,
                env: dict[str, str] | None = None) -> str:
    leader, follower = pty.openpty()
    import fcntl
    import struct
    import termios
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    run = subprocess.Popen([str(program.path), *program.hints(), *program.anchor(), "check", *args],
                           stdout=follower, stderr=subprocess.DEVNULL,
                           env={**os.environ, "TERM": "xterm", "NO_COLOR": "", **(env or {})})
    os.close(follower)
    seen = b""
    try:
        while piece := os.read(leader, 65536):
            seen += piece
    except OSError:
        pass
    os.close(leader)
    run.wait(30)
    return seen.decode().replace("\r\n", "\n")


def test_text(standard: Program) -> None:
    done = check(standard, "mismatch.example")
    head, sentence, _, *rest = done.out.decode().splitlines()
    assert head == "mismatch.example: broken" and sentence.startswith("Senders that do DANE will")
    assert any(line.startswith("  FAIL") for line in rest) and "\x1b" not in done.out.decode()
    assert "  skip" not in done.out.decode() and "-v shows" in done.out.decode()
    assert "  skip" in check(standard, "-v", "mismatch.example").out.decode()


def test_colour_and_width(standard: Program) -> None:
    wide, narrow = (on_terminal(standard, "good.example", columns=c) for c in (110, 60))
    assert "\x1b[32mok" in wide and "\x1b[1;32mdane\x1b[0m" in wide
    plain = [re.sub("\x1b\\[[0-9;]*m", "", text) for text in (wide, narrow)]
    assert max(map(len, plain[0].splitlines())) > 80
    assert max(map(len, plain[1].splitlines())) <= 60
    assert on_terminal(standard, "good.example", env={"NO_COLOR": "1"}, columns=110) == plain[0]
    assert "\x1b" not in on_terminal(standard, "good.example", env={"TERM": "dumb"})


def test_forms_exclude_each_other(standard: Program) -> None:
    assert check(standard, "--json", "--openmetrics", "good.example").out.startswith(b"# TYPE")
    assert check(standard, "--openmetrics", "--resume", "x", "x.example").complains(64, "--resume")
    assert not Path("x").exists()


# --- hostile texts --------------------------------------------------------------------------------


@pytest.fixture
def hostile(daneway: Daneway, fresh_world: World) -> Iterator[Program]:
    """Servers that put it into greeting, refusals, certificate names; a reason text in the DNS."""
    world, replies = fresh_world, HOSTILE.encode("utf-8")
    cert = certs.issue(f"{HOSTILE[:40]}", dns=["mx.example"])
    pem = cert.write(world.dir / "mx.pem")
    for name, smtp in {
            "banner": Smtp(tls=Tls([pem]), replies={"connect": b"554 " + replies + b"\xff\r\n"}),
            "starttls": Smtp(tls=Tls([pem]), replies={"STARTTLS": b"454 " + replies + b"\r\n"}),
            "name": Smtp(hostname="x", tls=Tls([pem])),
            "ehlo": Smtp(replies={"EHLO": b"550 " + replies + b"\r\n"})}.items():
        (at,) = world.add_smtp(smtp).addresses
        world.add_zone(f"{name}.example", ["@ MX 10 mx", f"mx A {at}",
                                           f"_25._tcp.mx TLSA {certs.self_signed('y').tlsa(2, 0, 1)}"])
    world.start()
    yield Program(daneway, world)


def test_nothing_hostile_gets_through(hostile: Program, tmp_path: Path) -> None:
    domains = ["banner.example", "starttls.example", "name.example", "ehlo.example", HOSTILE]
    listed = "".join(f"{d}\n" for d in domains).encode() + b"\xff\xfe<b>\n"
    for form in ([], ["-v"], ["--json"], ["--nagios"], ["--openmetrics"]):
        page = tmp_path / "page.html"
        done = check(hostile, *form, "--html", page, "-", stdin=listed)
        text = done.out.decode("utf-8")
        assert done.code == 2 and done.err == "", done.err
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029]", text), form
        page_text = page.read_text(encoding="utf-8")
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", page_text)
        assert "<script" not in page_text and "<b>" not in page_text
        assert "<script>alert" in Page(page).words  # it is text
        if form == ["--openmetrics"]:
            assert samples(text)
        if form == ["--nagios"]:
            nagios(done)
        if form == ["--json"]:
            assert "alert" in json.dumps([json.loads(line) for line in text.splitlines()])
