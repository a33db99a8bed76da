"""Real Postfix from Debian's package: as receiver with TLS, and as sender.

master(8) runs from the unpacked tree with a configuration of its own; nothing of the machine's
Postfix, if it has one, is read or touched.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Sequence

from lab.namespace import SERVERS
from lab.process import Process

ROOT = SERVERS / "postfix"
QUEUES = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "pid",
          "private", "saved", "trace")

MASTER = """\
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
showq     unix n - n - - showq
smtp      unix - - n - - smtp
relay     unix - - n - - smtp
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
virtual   unix - n n - - virtual
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """An instance: `listen` addresses on port 25, mail for `domains` goes to mbox files.

    Without `domains` it is a sender: `tls_level` is smtp_tls_security_level, and submit() queues.
    """

    def __init__(self, name: str, directory: Path, log: Path, *, hostname: str,
                 listen: Sequence[str] = (), domains: Sequence[str] = (),
                 certificate: Path | None = None, tls_level: str = "may",
                 extra: dict[str, str] | None = None, services: Sequence[str] = (),
                 via: Sequence[str] = ()) -> None:
        self.name, self.dir, self.log = name, directory, log
        self.hostname, self.listen, self.domains = hostname, list(listen), list(domains)
        self.certificate, self.tls_level = certificate, tls_level
        self.extra = extra or {}
        self.services = list(services)  # further lines of master.cf
        self.via = list(via)  # a command prefix: another network namespace
        self._process: Process | None = None

    @property
    def mailbox(self) -> Path:
        """All mail that arrived, in one mbox file."""
        return self.dir / "mail" / "inbox"

    def settings(self) -> dict[str, str]:
        daemon = ROOT / "usr/lib/postfix/sbin"
        values = {
            "compatibility_level": "3.6",
            "queue_directory": f"{self.dir}/queue", "data_directory": f"{self.dir}/data",
            "daemon_directory": str(daemon), "command_directory": str(ROOT / "usr/sbin"),
            "meta_directory": str(ROOT / "etc/postfix"),
            "shlib_directory": str(ROOT / "usr/lib/postfix"),
            "mail_owner": "postfix", "setgid_group": "postdrop",
            "myhostname": self.hostname, "mydestination": "", "local_recipient_maps": "",
            "mynetworks": "127.0.0.0/8 [::1]/128", "inet_protocols": "all",
            "inet_interfaces": "127.0.0.1", "alias_maps": "", "alias_database": "",
            "default_database_type": "texthash", "local_transport": "error:no local mail",
            "maillog_file": str(self.log), "maillog_file_prefixes": str(self.log.parent),
            "smtputf8_enable": "yes", "message_size_limit": "104857600",
            "mailbox_size_limit": "0", "virtual_mailbox_limit": "0",
            "biff": "no", "in_flow_delay": "0", "smtpd_peername_lookup": "no",
            "smtp_tls_security_level": self.tls_level, "smtp_tls_loglevel": "1",
            "smtp_tls_CAfile": "", "smtp_host_lookup": "dns",
            "queue_run_delay": "5s", "minimal_backoff_time": "5s", "maximal_backoff_time": "5s",
        }
        if self.tls_level.startswith("dane"):
            values["smtp_dns_support_level"] = "dnssec"
        if self.domains:
            values |= {
                "virtual_mailbox_domains": " ".join(self.domains),
                "virtual_mailbox_base": f"{self.dir}/mail",
                "virtual_mailbox_maps": "static:inbox", "virtual_transport": "virtual",
                "virtual_uid_maps": "static:716", "virtual_gid_maps": "static:716",
                "virtual_minimum_uid": "1",
                "smtpd_relay_restrictions": "permit_mynetworks reject_unauth_destination",
            }
        if self.certificate:
            values |= {"smtpd_tls_security_level": "may", "smtpd_tls_loglevel": "1",
                       "smtpd_tls_chain_files": str(self.certificate),
                       "smtpd_tls_received_header": "yes"}
        return values | self.extra

    def prepare(self) -> None:
        conf, queue = self.dir / "conf", self.dir / "queue"
        for directory in (conf, queue, self.dir / "data", self.dir / "mail"):
            directory.mkdir(parents=True, exist_ok=True)
        for name in QUEUES:
            (queue / name).mkdir(exist_ok=True)
            if name != "pid":
                shutil.chown(queue / name, "postfix")
                (queue / name).chmod(0o700)
        for name, mode in (("public", 0o710), ("maildrop", 0o1730)):
            (queue / name).mkdir(exist_ok=True)
            shutil.chown(queue / name, "postfix", "postdrop")
            (queue / name).chmod(mode)
        shutil.chown(self.dir / "data", "postfix")
        shutil.chown(self.dir / "mail", "labmail", "labmail")
        services = [*self.services]
        services += [f"{'[' + a + ']' if ':' in a else a}:25 inet n - n - - smtpd"
                     for a in self.listen]
        (conf / "master.cf").write_text(MASTER + "\n".join(services) + "\n")
        self.write_settings()

    def write_settings(self) -> None:
        text = "".join(f"{key} = {value}\n" for key, value in self.settings().items())
        path = self.dir / "conf/main.cf"
        path.write_text(text)
        # Postfix waits until its configuration is older than a second.
        os.utime(path, (time.time() - 60,) * 2)

    def _env(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "MAIL_CONFIG": str(self.dir / "conf"),
                "LC_ALL": "C"}

    def start(self) -> None:
        self.prepare()
        argv = [*self.via, str(ROOT / "usr/lib/postfix/sbin/master"), "-d", "-s",
                "-c", str(self.dir / "conf")]
        self._process = Process(f"postfix ({self.name})", argv, self.log.with_suffix(".out"),
                                env=self._env())

    def wait(self) -> None:
        assert self._process
        for address in self.listen:
            self._process.wait_for(address, 25)

    def tool(self, name: str, *argv: str) -> list[str]:
        """The command line of one of Postfix's tools, e.g. posttls-finger, with this instance."""
        return [*self.via, "env", f"MAIL_CONFIG={self.dir}/conf", str(ROOT / "usr/sbin" / name),
                *argv]

    def submit(self, sender: str, recipients: Sequence[str], message: bytes) -> None:
        """Queues a message through sendmail(1) of this instance."""
        argv = self.tool("sendmail", "-C", str(self.dir / "conf"), "-i", "-f", sender, "--",
                         *recipients)
        subprocess.run(argv, input=message, check=True, capture_output=True)

    def queue(self) -> list[dict]:
        """What waits, as postqueue -j shows it (with the reason of each delay)."""
        done = subprocess.run(self.tool("postqueue", "-j"), capture_output=True, text=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def stop(self) -> None:
        if self._process:
            self._process.stop()
            self._process = None
