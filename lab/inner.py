"""What runs inside the namespaces: `python3 -m lab.inner [--bare] [--keep DIR] COMMAND...`."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from lab import namespace


def _terminated(_signum: int, _frame: object) -> None:
    sys.exit(143)


def _main(args: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, _terminated)
    if args.bare:
        return _command(args.command, {})
    from lab.world import World
    world = World.standard()
    try:
        world.start()
        return _command(args.command, world.environment())
    finally:
        world.stop()


def _command(command: list[str], extra: dict[str, str]) -> int:
    child = subprocess.Popen(command, env={**os.environ, **extra})
    while True:
        try:
            code = child.wait()
            return code if code >= 0 else 128 - code
        except KeyboardInterrupt:
            continue  # the command got it too; it decides


def _keep(directory: str) -> None:
    target = Path(directory)
    target.mkdir(parents=True, exist_ok=True)
    shutil.copytree(namespace.STATE / "log", target, dirs_exist_ok=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="lab.inner")
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--keep")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    signal.signal(signal.SIGTERM, lambda _signum, _frame: os._exit(143))
    args = parser.parse_args()
    args.command = args.command[1:] if args.command[:1] == ["--"] else args.command
    try:
        namespace.set_up()
    except namespace.LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 70
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            code = _main(args)
        except SystemExit as stop:
            code = int(stop.code or 0)
        except namespace.LabError as error:
            print(f"lab: {error}", file=sys.stderr)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            if args.keep:
                _keep(args.keep)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return namespace.init(pid)


if __name__ == "__main__":
    sys.exit(main())
