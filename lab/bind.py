"""BIND serving a zone that it signs by itself and that signed updates change."""

from __future__ import annotations

import subprocess
from pathlib import Path

from lab.namespace import SERVERS
from lab.process import Process

NAMED = SERVERS / "bind/usr/sbin/named"


class Bind:
    """One named with one zone at one address. `key`: the text of a key file; who has it may change
    the types in `types`. Transfers to anybody."""

    def __init__(self, directory: Path, log: Path, address: str, zone: str, text: str, *, key: str,
                 key_name: str, types: str = "TLSA CNAME", notify: str = "") -> None:
        self.dir, self.log, self.address, self.zone, self.text = directory, log, address, zone, text
        self.key, self.key_name, self.types, self.notify = key, key_name, types, notify
        self._process: Process | None = None

    def start(self) -> None:
        (self.dir / "keys").mkdir(parents=True, exist_ok=True)
        # named listens only at addresses that it finds on an interface.
        subprocess.run(["ip", "address", "replace", f"{self.address}/32", "dev", "lo"], check=True)
        (self.dir / "zone").write_text(self.text)
        (self.dir / "named.conf").write_text(f"""\
options {{
  directory "{self.dir}";
  pid-file "{self.dir}/named.pid";
  session-keyfile "{self.dir}/session.key";
  managed-keys-directory "{self.dir}";
  listen-on {{ {self.address}; }};
  listen-on-v6 {{ none; }};
  recursion no;
  dnssec-validation no;
  notify explicit;
}};
controls {{ }};
{self.key}
dnssec-policy lab {{
  keys {{ csk lifetime unlimited algorithm ecdsap256sha256; }};
}};
zone "{self.zone}" {{
  type primary;
  file "zone";
  key-directory "{self.dir}/keys";
  dnssec-policy lab;
  inline-signing yes;
  allow-transfer {{ any; }};
  notify-source {self.address};
  {f'also-notify {{ {self.notify}; }};' if self.notify else ''}
  update-policy {{ grant {self.key_name} zonesub {self.types}; }};
}};
""")
        self._process = Process("named", [str(NAMED), "-g", "-n", "1", "-c",
                                          str(self.dir / "named.conf")], self.log)

    def wait(self) -> None:
        assert self._process
        self._process.wait_for(self.address, 53)

    def stop(self) -> None:
        if self._process:
            self._process.stop()
            self._process = None
