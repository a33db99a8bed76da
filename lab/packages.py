"""Servers of the lab, unpacked from Debian's packages, never installed.

Installing a mail server would remove the user's own and start services. So the packages are fetched
with `apt-get download`, unpacked with `dpkg-deb -x` into a cache and run from there, together with
those shared libraries that the system does not have. A second run needs no network.

Cache: $DANEWAY_LAB_CACHE, else $XDG_CACHE_HOME/daneway/lab, else ~/.cache/daneway/lab.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

# Server -> packages that are unpacked even where they are installed (an installed copy may have
# another version, and its configuration is the user's).
SERVERS: dict[str, list[str]] = {
    "knot": ["knot"],
    "postfix": ["postfix"],
    "exim": ["exim4-daemon-heavy"],
    "bind": ["bind9", "bind9-dnsutils", "bind9-utils", "bind9-libs"],
    "unbound": ["unbound"],
}
# Other testers, for docs/tester.md: fetched only by `make tester`.
TOOLS: dict[str, list[str]] = {
    "danetool": ["gnutls-bin", "libgnutls-dane0"],
    "dnsviz": ["dnsviz", "python3-pygraphviz", "python3-m2crypto", "graphviz"],
    "ldns-dane": ["ldnsutils"],
}
# What their scripts would want; the lab starts the daemons itself.
LIBRARY = re.compile(r"^lib")


class PackageError(Exception):
    """A package could not be fetched or unpacked; the text says what to do."""


def cache_dir() -> Path:
    explicit = os.environ.get("DANEWAY_LAB_CACHE")
    if explicit:
        return Path(explicit)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "daneway" / "lab"


def _output(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True,
                          env={**os.environ, "LC_ALL": "C"})
    if done.returncode != 0:
        raise PackageError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


def _installed() -> set[str]:
    lines = _output("dpkg-query", "-W", "-f", "${Package} ${db:Status-Abbrev}\n").splitlines()
    return {name for name, _, status in (line.partition(" ") for line in lines)
            if status.startswith("ii")}


def _depends(package: str) -> list[list[str]]:
    """The dependencies of a package: a list of alternatives each."""
    groups = []
    for line in _output("apt-cache", "show", "--no-all-versions", package).splitlines():
        key, _, value = line.partition(":")
        if key in ("Depends", "Pre-Depends"):
            for group in value.split(","):
                groups.append([re.split(r"[ (:]", alt.strip())[0] for alt in group.split("|")])
    return groups


def _wanted(server: str) -> list[str]:
    return SERVERS.get(server) or TOOLS[server]


def closure(server: str) -> tuple[list[str], list[str]]:
    """The packages to unpack for a server (its own, and libraries that the system lacks), and those
    that the system has and the server relies on."""
    installed, wanted = _installed(), _wanted(server)
    todo, chosen, relied = list(wanted), list(wanted), []
    while todo:
        for group in _depends(todo.pop()):
            present = [alt for alt in group if alt in installed or alt in chosen]
            if present:
                relied += [alt for alt in present[:1] if alt not in chosen and LIBRARY.match(alt)]
            elif LIBRARY.match(group[0]):
                chosen.append(group[0])
                todo.append(group[0])
    return chosen, sorted(set(relied))


def _download(packages: list[str], into: Path) -> None:
    into.mkdir(parents=True, exist_ok=True)
    argv = ["apt-get", "download", "-qq", *packages]
    done = subprocess.run(argv, cwd=into, capture_output=True, text=True)
    if done.returncode != 0:
        raise PackageError(f"cannot download {' '.join(packages)}: {done.stderr.strip()}\n"
                           "the package lists may be old or missing: apt-get update")


def _stamp(server: str) -> dict[str, list[str]]:
    try:
        return json.loads((cache_dir() / server / ".complete").read_text())
    except (OSError, ValueError):
        return {}


def _complete(server: str, installed: set[str]) -> bool:
    stamp = _stamp(server)
    # A cache may be carried to a machine with fewer libraries.
    return stamp.get("wanted") == _wanted(server) and installed.issuperset(stamp["relied"])


def _unpack(server: str) -> None:
    print(f"lab: fetching {server}", file=sys.stderr)
    root = cache_dir()
    fresh, debs = root / f"{server}.new", root / f"{server}.debs"
    for old in (fresh, debs):
        shutil.rmtree(old, ignore_errors=True)
    try:
        packages, relied = closure(server)
        _download(packages, debs)
    except PackageError:
        if os.geteuid() != 0:
            raise
        subprocess.run(["apt-get", "update", "-qq"], check=False, stdout=subprocess.DEVNULL)
        packages, relied = closure(server)
        _download(packages, debs)
    fresh.mkdir()
    names = sorted(deb.name for deb in debs.glob("*.deb"))
    for name in names:
        _output("dpkg-deb", "-x", str(debs / name), str(fresh))
    (fresh / ".complete").write_text(json.dumps(
        {"wanted": _wanted(server), "debs": names, "relied": relied}))
    shutil.rmtree(debs)
    shutil.rmtree(root / server, ignore_errors=True)
    fresh.rename(root / server)


def fetch(servers: list[str] | None = None) -> None:
    """Makes sure that the servers (default: all of SERVERS) are in the cache."""
    root = cache_dir()
    root.mkdir(parents=True, exist_ok=True)
    installed = _installed()
    with open(root / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once fetch once
        for server in servers or list(SERVERS):
            if not _complete(server, installed):
                _unpack(server)


def versions() -> dict[str, str]:
    """Package file names as unpacked, for reports."""
    return {server: name for server in [*SERVERS, *TOOLS] for name in _stamp(server).get("debs", [])
            if name.startswith(_wanted(server)[0] + "_")}


def library_dirs(root: Path) -> list[Path]:
    """Directories with shared libraries of all unpacked servers below root."""
    dirs: list[Path] = []
    for server in [*SERVERS, *TOOLS]:
        lib = root / server
        if not (lib / ".complete").exists():
            continue
        candidates = [lib / "lib", lib / "usr/lib", lib / "usr/lib/postfix"]
        candidates += sorted((lib / "usr/lib").glob("*-linux-gnu*"))
        candidates += sorted((lib / "lib").glob("*-linux-gnu*"))
        dirs += [d for d in candidates if any(d.glob("*.so*"))]
    return dirs
