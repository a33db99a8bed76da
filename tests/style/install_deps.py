#!/usr/bin/python3
"""
scripts/install-deps against a pretended Debian: dpkg-query, apt-get, id and sudo are small scripts
in the only folder of PATH; each case says what is installed, what apt would do, and what must come
of it. apt-get's calls are kept in a log.
"""
import os
import shutil
import stat
import subprocess
import sys
import tempfile

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts/install-deps")
TOOLS = "bash sh sed grep sort tr tail env cat true".split()

DPKG = """#!/bin/sh
for p; do :; done
case " $MISSING " in *" $p "*) exit 1 ;; *" -$p "*) printf config-files ;; *) printf installed ;; esac
"""
APT = """#!/bin/sh
echo "$*" >> "$LOG"
case " $* " in
*" -s "*) [ -z "$NO_LISTS" ] || [ -e "$LOG.updated" ] || { echo "E: Unable to locate package"; exit 100; }
	for p in $PLAN; do echo "Inst $p (1.0 Debian:12)"; done ;;
*" update "*) [ -z "$NO_NETWORK" ] || exit 100; : > "$LOG.updated" ;;
*" install "*) [ -z "$NO_NETWORK" ] || exit 100
	[ -z "$STALE" ] || [ -e "$LOG.updated" ] || exit 100 ;;
esac
"""
SUDO = """#!/bin/sh
[ "$1" = -n ] && { [ -z "$PASSWORD" ] || exit 1; shift; }
exec "$@"
"""

# Name, settings, exit status is 0, in the output, number of installs, of updates, of all calls.
CASES = [
    ("nothing missing: no apt at all", {}, True, "", 0, 0, 0),
    ("nothing missing, no apt-get, not root", {"APT": "no", "UID": "1000"}, True, "", 0, 0, 0),
    ("one missing", {"MISSING": "meson", "PLAN": "meson"}, True, "Missing packages: meson", 1, 0, 2),
    ("removed, its configuration left", {"MISSING": "-meson", "PLAN": "meson"}, True, "meson", 1, 0, 2),
    ("told not to", {"MISSING": "meson", "NO_INSTALL": "1"}, False, "as root: apt-get install", 0, 0, 0),
    ("a mail server would come", {"MISSING": "meson", "PLAN": "meson exim4-daemon-light"}, False,
     "refused: this would install the server exim4-daemon-light", 0, 0, 1),
    ("a name server would come", {"MISSING": "meson", "PLAN": "unbound meson"}, False, "refused", 0, 0, 1),
    ("libraries of servers are none", {"MISSING": "libunbound-dev", "PLAN": "libunbound8 libknot13 bind9-libs"},
     True, "", 1, 0, 2),
    ("no lists yet", {"MISSING": "meson", "PLAN": "meson", "NO_LISTS": "1"}, True, "", 1, 1, 4),
    ("old lists", {"MISSING": "meson", "PLAN": "meson", "STALE": "1"}, True, "", 2, 1, 4),
    ("no network", {"MISSING": "meson", "PLAN": "meson", "NO_NETWORK": "1"}, False, "no network?", 1, 1, 3),
    ("no lists, no network", {"MISSING": "meson", "NO_LISTS": "1", "NO_NETWORK": "1"}, False,
     "no network?", 0, 1, 2),
    ("not root, sudo", {"MISSING": "meson", "PLAN": "meson", "UID": "1000", "SUDO": "yes"}, True, "", 1, 0, 2),
    ("not root, no sudo", {"MISSING": "meson", "UID": "1000"}, False, "not root, and there is no sudo", 0, 0, 0),
    ("not root, sudo wants a password", {"MISSING": "meson", "UID": "1000", "SUDO": "yes", "PASSWORD": "1"},
     False, "no terminal", 0, 0, 0),
    ("not Debian", {"DPKG": "no"}, True, "not a Debian system", 0, 0, 0),
    ("no such group", {"GROUP": "kitchen"}, False, "no group", 0, 0, 0),
]


def script(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)


def run(settings):
    with tempfile.TemporaryDirectory() as folder:
        for tool in TOOLS:
            os.symlink(shutil.which(tool), os.path.join(folder, tool))
        script(os.path.join(folder, "id"), "#!/bin/sh\necho %s\n" % settings.get("UID", "0"))
        if settings.get("DPKG") != "no":
            script(os.path.join(folder, "dpkg-query"), DPKG)
        if settings.get("APT") != "no":
            script(os.path.join(folder, "apt-get"), APT)
        if "SUDO" in settings:
            script(os.path.join(folder, "sudo"), SUDO)
        log = os.path.join(folder, "log")
        names = ("MISSING", "PLAN", "NO_LISTS", "NO_NETWORK", "NO_INSTALL", "STALE", "PASSWORD")
        env = {name: settings.get(name, "") for name in names}
        env.update(PATH=folder, LOG=log)
        p = subprocess.run(["/bin/bash", SCRIPT, settings.get("GROUP", "build"), "test", "lab"], env=env,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True)
        calls = open(log, encoding="utf-8").read().splitlines() if os.path.exists(log) else []
    return p.returncode, p.stdout, calls


def main():
    failures = 0
    for name, settings, ok, words, n_install, n_update, n_calls in CASES:
        status, out, calls = run(settings)
        installs = [c for c in calls if " install " in c and " -s " not in " %s " % c]
        updates = [c for c in calls if c.endswith(" update")]
        # Never a removal, never a recommendation.
        safe = all("--no-remove" in c and "--no-install-recommends" in c for c in installs)
        if ((status == 0) != ok or words not in out or not safe or len(calls) != n_calls
                or len(installs) != n_install or len(updates) != n_update):
            failures += 1
            print("%s: exit %d, calls %s, output:\n%s" % (name, status, calls, out))
    print("%d cases, %d failed" % (len(CASES), failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
