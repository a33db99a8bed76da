"""The lab's own world: network, mount, PID and UTS namespaces.

`unshare --kill-child` makes the kernel end everything inside when the outer process ends, whatever
ends it. /run is a tmpfs, some files of /etc are bound over; nothing of the machine is changed.

Inside: lo is up; every address of 198.18.0.0/15 and 2001:db8::/32 is local (AnyIP routes), so a
server may bind any of them without `ip addr add`.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from lab import packages

HOME = Path(__file__).resolve().parent.parent
STATE = Path("/run/daneway-lab")
SERVERS = STATE / "servers"
INSIDE = "DANEWAY_LAB"
NEEDS = "DANEWAY_LAB_USERS"  # "many": several user ids exist inside; "one": only root
OUTER_USER = "DANEWAY_LAB_OUTER_USER"
V4_RANGE, V6_RANGE = "198.18.0.0/15", "2001:db8::/32"
GRACE_S = 8  # from SIGTERM to the end of everything
HOSTNAME = "sender.lab.invalid"

# Users that the servers want: name, uid, gid.
USERS = [("postfix", 711, 711), ("Debian-exim", 712, 712), ("knot", 713, 713), ("bind", 714, 714),
         ("unbound", 715, 715), ("labmail", 716, 716),
         ("daneway", 717, 717)]
GROUPS = [(name, gid) for name, _, gid in USERS] + [("postdrop", 720)]


class LabError(Exception):
    """The lab cannot come up here; the text says why and what helps."""


def inside() -> bool:
    return INSIDE in os.environ


def many_users() -> bool:
    """Whether MTAs that change their user can run (root, or subuid ranges)."""
    return os.environ.get(NEEDS) == "many"


def why_not_many_users() -> str:
    user = os.environ.get(OUTER_USER, _user())
    return (f"needs several user ids: run as root, or usermod --add-subuids 100000-165535 "
            f"--add-subgids 100000-165535 {user} (and install uidmap)")


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _has_subids() -> bool:
    names = {_user(), str(os.getuid())}
    for path in ("/etc/subuid", "/etc/subgid"):
        try:
            owners = {line.split(":")[0] for line in Path(path).read_text().splitlines()}
        except OSError:
            return False
        if not owners & names:
            return False
    return shutil.which("newuidmap") is not None


def reexec(inner: list[str]) -> NoReturn:
    """Runs `python3 -m lab.inner INNER...` in fresh namespaces and exits with its code."""
    argv = ["unshare"]
    users = os.environ.get(NEEDS, "many")  # a lab in a lab: root of the outer may be alone too
    if os.geteuid() != 0:
        argv += ["--user", "--map-root-user"]
        if _has_subids():
            argv += ["--map-auto"]
        else:
            users = "one"
    argv += ["--net", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc", "--",
             sys.executable, "-m", "lab.inner", *inner]
    env = {**os.environ, NEEDS: users, OUTER_USER: _user(), "PYTHONPATH": _python_path(),
           "PATH": os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin",
           "DANEWAY_LAB_CACHE": str(packages.cache_dir().resolve())}
    sys.stdout.flush()
    outer = subprocess.Popen(argv, env=env, preexec_fn=_die_with_parent)

    def terminate(_signum: int, _frame: object) -> None:
        # unshare(1) holds SIGTERM back; its only child, process 1 inside, takes it.
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), signal.SIGTERM)
        # Process 1 of a namespace does not hear SIGTERM before it has a handler.
        signal.alarm(GRACE_S)
        if not children:
            outer.kill()

    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGALRM, lambda _signum, _frame: outer.kill())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the command as well
    code = outer.wait()
    os._exit(code if code >= 0 else 128 - code)


def _die_with_parent() -> None:
    """kill -9 of the outermost process ends unshare(1), whose end ends everything inside."""
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _python_path() -> str:
    old = os.environ.get("PYTHONPATH")
    return f"{HOME}:{old}" if old else str(HOME)


def run(*argv: str, stdin: str | None = None) -> None:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True)
    if done.returncode != 0:
        raise LabError(f"{' '.join(argv)}: {done.stderr.strip()}")


def _bind_file(target: str, text: str) -> None:
    """Lays a file of our own over one of the machine's (skipped where there is none)."""
    real = Path(os.path.realpath(target))
    if str(real).startswith("/run/"):
        real.parent.mkdir(parents=True, exist_ok=True)
        real.touch()
    if not real.exists():
        return
    source = STATE / "etc" / Path(target).name
    source.parent.mkdir(exist_ok=True)
    source.write_text(text)
    source.chmod(0o644)
    run("mount", "--bind", str(source), str(real))


def _accounts() -> tuple[str, str]:
    passwd = Path("/etc/passwd").read_text().splitlines()
    group = Path("/etc/group").read_text().splitlines()
    ours = {name for name, _, _ in USERS}
    passwd = [line for line in passwd if line.split(":")[0] not in ours]
    passwd += [f"{n}:x:{u}:{g}:lab:/nonexistent:/usr/sbin/nologin" for n, u, g in USERS]
    our_groups = {name for name, _ in GROUPS}
    group = [line for line in group if line.split(":")[0] not in our_groups]
    group += [f"{n}:x:{g}:" for n, g in GROUPS]
    return "\n".join(passwd) + "\n", "\n".join(group) + "\n"


def refresh_libraries() -> None:
    """Lets the dynamic linker find the libraries of the unpacked servers, also where a daemon
    clears its environment (Postfix's master does)."""
    conf = STATE / "ld.so.conf"
    dirs = packages.library_dirs(SERVERS)
    # The system's own directories come first: an unpacked copy never replaces a system library.
    conf.write_text("include /etc/ld.so.conf\n" + "".join(f"{d}\n" for d in dirs))
    cache = STATE / "etc/ld.so.cache"
    if cache.exists():
        run("ldconfig", "-X", "-C", str(cache) + ".new", "-f", str(conf))
        cache.write_bytes(Path(str(cache) + ".new").read_bytes())
        return
    run("ldconfig", "-X", "-C", str(cache), "-f", str(conf))
    run("mount", "--bind", str(cache), "/etc/ld.so.cache")


def _network() -> None:
    commands = ["link set lo up", f"route add local {V4_RANGE} dev lo"]
    if Path("/proc/sys/net/ipv6").exists():
        commands.append(f"-6 route add local {V6_RANGE} dev lo")
        Path("/proc/sys/net/ipv6/ip_nonlocal_bind").write_text("1")
        for part in ("all", "default"):  # a router's link-local address must be usable at once
            Path(f"/proc/sys/net/ipv6/conf/{part}/accept_dad").write_text("0")
    for command in commands:
        run("ip", *command.split())
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0")


def set_up() -> None:
    """Run once, as the first process of the new namespaces."""
    os.environ[INSIDE] = str(STATE)
    old_cache = packages.cache_dir()
    old_cache.mkdir(parents=True, exist_ok=True)
    cache_fd = os.open(old_cache, os.O_PATH)  # still reachable if it lies below /run
    os.umask(0o022)
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for directory in (SERVERS, STATE / "etc", STATE / "log", STATE / "tmp", Path("/run/lock")):
        directory.mkdir(parents=True)
    # MTAs run as other users; the cache may lie below a home that they may not enter.
    subprocess.run(["mount", "--bind", f"/proc/self/fd/{cache_fd}", str(SERVERS)], check=True,
                   pass_fds=[cache_fd])
    os.close(cache_fd)
    os.environ["TMPDIR"] = str(STATE / "tmp")
    (STATE / "tmp").chmod(0o1777)
    passwd, group = _accounts()
    _bind_file("/etc/passwd", passwd)
    _bind_file("/etc/group", group)
    _bind_file("/etc/resolv.conf", "nameserver 127.0.0.1\noptions edns0 trust-ad\n")
    _bind_file("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")
    run("hostname", HOSTNAME)
    refresh_libraries()
    _network()


def init(main_pid: int) -> int:
    """Process 1: reaps orphans, hands SIGTERM on, returns main's exit code."""
    def forward(signum: int, _frame: object) -> None:
        os.kill(main_pid, signum)

    signal.signal(signal.SIGTERM, forward)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to main as well
    while True:
        pid, status = os.wait()
        if pid == main_pid:
            return os.waitstatus_to_exitcode(status) % 256
