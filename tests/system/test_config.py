"""daneway config, and what the other commands take from daneway.yaml and from the environment."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Iterator

import pytest

from lab.pytest_plugin import Daneway
from lab.world import World
from program import Program

ROOT = Path(__file__).resolve().parents[2]
TLSA = "3 1 1 " + "ab" * 32
DANE = ["@ MX 10 mx", "mx A 192.0.2.1", f"_25._tcp.mx TLSA {TLSA}"]


@pytest.fixture(scope="module")
def site() -> Iterator[World]:
    world = World("config")
    world.add_zone("good.example", DANE)
    world.start()
    yield world
    world.stop()


@pytest.fixture(scope="module")
def program(daneway: Daneway, site: World) -> Program:
    return Program(daneway, site)


@pytest.fixture
def run(daneway: Daneway, tmp_path: Path):
    """The program with words and variables of its own; (exit code, output, errors)."""
    def call(*args: object, **variables: object) -> tuple[int, str, str]:
        done = subprocess.run([daneway.path, *map(str, args)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=60, cwd=tmp_path,
                              env={**os.environ, **{k: str(v) for k, v in variables.items()}})
        return done.returncode, done.stdout, done.stderr
    return call


def _file(folder: Path, text: str, name: str = "daneway.yaml", mode: int = 0o644) -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return path


def test_file_is_enough(program: Program, site: World, tmp_path: Path) -> None:
    """Anchor and hints from the file alone: a DANE domain of the lab is seen."""
    path = _file(tmp_path, f"dns: {{root_hints: {site.root_hints}, "
                           f"trust_anchor: {site.trust_anchor}}}\n")
    done = program.bare("--config", path, "--json", "policy", "good.example")
    assert (done.code, done.json["outcome"]) == (0, "dane"), done


def test_precedence(run, tmp_path: Path) -> None:
    """Command line, environment, file; told apart by the anchor that is missed."""
    path = _file(tmp_path, "dns: {trust_anchor: /nonexistent/file}\n")
    for words, variables, wanted in (
            (["--trust-anchor", "/nonexistent/line"], {"DANEWAY_TRUST_ANCHOR": "/nonexistent/variable"}, "/nonexistent/line"),
            ([], {"DANEWAY_TRUST_ANCHOR": "/nonexistent/variable"}, "/nonexistent/variable"),
            ([], {"DANEWAY_TRUST_ANCHOR": ""}, "/nonexistent/file"),
            ([], {}, "/nonexistent/file")):
        for command in (["policy", "a.example"], ["check", "a.example"], ["dnssec", "a.example"],
                        ["tlsa", "make", "--connect", "a.example"]):
            code, out, err = run("--config", path, *words, *command, **variables)
            assert (code, out) == (78, ""), err
            assert wanted in err, (words, variables, command, err)
            code, out, err = run(*words, *command, DANEWAY_CONFIG=path, **variables)
            assert wanted in err, (words, variables, command, err)


def test_resolver_is_one_thing(run, tmp_path: Path) -> None:
    """--forward on the command line silences root_hints below, or both would be given."""
    path = _file(tmp_path, "dns: {root_hints: /nonexistent/file, trust_anchor: /nonexistent/file}\n")
    code, _, err = run("--config", path, "--forward", "127.0.0.1@1", "policy", "a.example",
                       DANEWAY_ROOT_HINTS="/nonexistent/variable")
    assert code == 78 and "trust anchor /nonexistent/file" in err, err
    code, _, err = run("policy", "a.example", DANEWAY_ROOT_HINTS="/x", DANEWAY_FORWARD="192.0.2.1")
    assert code == 64 and "exclude" in err, err


def test_missing_file(run) -> None:
    for command in (["policy", "a.example"], ["check", "a.example"], ["dnssec", "a.example"],
                    ["deliver", "--from", "a@a.example", "--to", "b@b.example"],
                    ["tlsa", "parse", "3 1 1 " + "00" * 32], ["config", "--check"],
                    ["config", "--show"]):
        assert run("--config", "/nowhere", *command) == (
            78, "", "/nowhere: No such file or directory\n"), command
    # Nobody named it: the commands do without, config --check has nothing to check.
    assert run("tlsa", "parse", "3 1 1 " + "00" * 32)[0] == 0
    assert run("config", "--show")[0] == 0
    assert run("config", "--check") == (
        78, "", "daneway: config: there is no /etc/daneway/daneway.yaml\n")


def test_faulty_file(run, tmp_path: Path) -> None:
    """All faults, and nothing is done."""
    path = _file(tmp_path, "sandbox: yes\nusr: x\n")
    wanted = (f"{path}:1:10: sandbox: yes: write true; YAML readers disagree about \"yes\"\n"
              f"{path}:2:1: no key `usr`: did you mean `user`?\n")
    for words in (["config", "--check", path], ["config", "--show", path],
                  ["--config", path, "config", "--check"],
                  ["--config", path, "policy", "a.example"]):
        assert run(*words) == (78, "", wanted), words
    code, out, err = run("--config", path, "check", "--nagios", "a.example")
    assert (code, err) == (3, wanted) and out.startswith("DANE UNKNOWN"), (code, out, err)


@pytest.mark.parametrize("words", [[], ["--check", "--show"], ["--defaults", "x"],
                                   ["--check", "a", "b"], ["--chekc"]])
def test_usage(run, words: list[str]) -> None:
    code, out, err = run("config", *words)
    assert (code, out, err.count("\n")) == (64, "", 1), err


def test_defaults(run, tmp_path: Path) -> None:
    code, text, _ = run("config", "--defaults")
    assert code == 0
    path = _file(tmp_path, text)
    assert run("config", "--show", path) == run("config", "--show", "/dev/null")
    assert run("config", "--check", path) == (0, f"{path}: in order; 0 listeners, 0 domains\n", "")


def test_examples(run, tmp_path: Path) -> None:
    """They are in order but for the files that they name; the smallest has under ten lines."""
    examples = sorted(set((ROOT / "examples").glob("*.yaml")) - {ROOT / "examples/prometheus-rules.yaml"})
    assert len(examples) >= 3
    for example in examples:
        code, shown, err = run("config", "--show", example)
        assert (code, err) == (0, ""), err
        assert run("config", "--show", _file(tmp_path, shown)) == (0, shown, "")
    lines = [line for line in (ROOT / "examples/gateway.yaml").read_text().splitlines()
             if not line.startswith("#")]
    assert len(lines) < 10


def test_files_that_are_named(run, tmp_path: Path) -> None:
    """A key that others can read, a certificate that is not there."""
    key = _file(tmp_path, "secret words", "key", 0o640)
    path = _file(tmp_path, f"certificates: [{{chain: {tmp_path}/none, key: {key}}}]\n")
    assert run("config", "--check", path) == (
        78, "", f"{path}: chain: {tmp_path}/none: No such file or directory\n"
                f"{path}: key: {key}: others can read it (mode 640, 600 is wanted)\n")
    _file(tmp_path, "", "none")
    key.chmod(0o600)
    assert run("config", "--check", path)[0] == 0
    assert "secret words" not in run("config", "--show", path)[1]


def test_full_disk(daneway: Daneway) -> None:
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([daneway.path, "config", "--defaults"], stdout=full,
                              stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 74
