#!/usr/bin/python3
"""
Judges the notifications of core/mail/dsn.c by Python's email parser: is it a report that others
can read, and is everything in it where it should be?

    mail_dsn.py TEST_MAIL_DSN
"""
import email
import email.policy
import email.utils
import re
import subprocess
import sys

HEADER = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version",
          "Content-Type", "Content-Transfer-Encoding"]
MESSAGE = {"Reporting-MTA", "Original-Envelope-Id", "Arrival-Date", "X-Daneway-Id"}
RECIPIENT = {"Original-Recipient", "Final-Recipient", "Action", "Status", "Remote-MTA",
             "Diagnostic-Code", "Last-Attempt-Date", "Will-Retry-Until"}

# Name: the types of the parts, and of each recipient what must stand there.
EXPECTED = {
    "failed": (["text/plain", "message/delivery-status", "message/rfc822"],
               [{"Final-Recipient": "rfc822; bob@example.org", "Action": "failed", "Status": "5.1.1",
                 "Remote-MTA": "dns; mx.example.org",
                 "Diagnostic-Code": "smtp; 550 5.1.1 no such user"}]),
    "dane": (["text/plain", "message/delivery-status", "text/rfc822-headers"],
             [{"Original-Recipient": "rfc822; Bob+x@example.org", "Status": "5.7.323",
               "Remote-MTA": None, "Diagnostic-Code": "x-daneway; mx.example.org[192.0.2.7]: "
               "no TLSA record matches the certificate"}]),
    "delayed": (["text/plain", "message/delivery-status", "text/rfc822-headers"],
                [{"Action": "delayed", "Status": "4.4.1",
                  "Will-Retry-Until": "Thu, 26 Nov 2026 09:46:40 +0000"}] * 2),
    "mixed": (["text/plain", "message/delivery-status"],
              [{"Action": "relayed", "Will-Retry-Until": None}, {"Action": "failed"},
               {"Action": "delivered"}, {"Action": "delayed"}]),
    "injected": (["text/plain", "message/delivery-status", "text/rfc822-headers"],
                 [{"Original-Recipient": "rfc822; bob??X-Orcpt: 1", "Status": "5.0.0"},
                  {"Original-Recipient": None, "Status": "5.0.0"}]),
    "utf8 sender": (["text/plain", "message/global-delivery-status", "message/global"],
                    [{"Final-Recipient": "utf-8; j\u00f6rg+x@example.org", "Status": "5.6.7"}]),
    "utf8 recipient": (["text/plain", "message/delivery-status", "message/global-headers"],
                       [{"Final-Recipient": "utf-8; j\\x{F6}rg\\x{2B}x@example.org"}]),
    "8bit body": (["text/plain", "message/delivery-status", "message/rfc822"],
                  [{"Action": "failed"}]),
    "longest": (["text/plain", "message/delivery-status", "text/rfc822-headers"],
                [{"Status": "5.999.999"}, {"Status": "5.0.0"}]),
}


def want(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(w) for w in what))


def part_text(raw, boundary, index):
    """The octets of one part behind its header, by hand: the parser reads into message/ types."""
    part = raw.split(b"\r\n--" + boundary.encode())[index + 1]
    return part.split(b"\r\n\r\n", 1)[1]


def groups(text):
    """The groups of fields of a delivery-status, unfolded."""
    out = []
    for block in re.split(rb"\r\n\r\n", text.strip(b"\r\n")):
        block = re.sub(rb"\r\n([ \t])", rb"\1", block).decode("utf-8")
        out.append(dict(line.split(": ", 1) for line in block.split("\r\n")))
    return out


def judge(name, raw):
    types, recipients = EXPECTED[name]
    lines = raw.split(b"\n")
    want(lines.pop() == b"" and all(l.endswith(b"\r") for l in lines), "line ends")
    want(all(b"\r" not in l[:-1] and len(l) <= 999 for l in lines), "bare CR or long line")

    message = email.message_from_bytes(raw, policy=email.policy.SMTPUTF8)
    want(not message.defects, message.defects)
    want(list(message.keys()) == HEADER, "header", message.keys())
    want(message["Auto-Submitted"] == "auto-replied")
    want(message["Subject"].isascii() and message["From"].addresses[0].username == "postmaster")
    want(email.utils.parsedate_to_datetime(message["Date"]).year == 2026)
    want(re.fullmatch(r"<[A-Z0-9]+@mx1\.hoster\.example>", message["Message-ID"]))
    want(message.get_content_type() == "multipart/report", message.get_content_type())
    want("message/" + message.get_param("report-type") == types[1])

    parts = message.get_payload()
    want([p.get_content_type() for p in parts] == types, [p.get_content_type() for p in parts])
    boundary = message.get_boundary()
    want(raw.count(b"\r\n--" + boundary.encode()) == len(parts) + 1, "boundary")
    eightbit = False
    for i, part in enumerate(parts):
        want(not part.defects, part.defects)
        encoding = part["Content-Transfer-Encoding"]
        want(encoding in ("7bit", "8bit"))
        want(encoding == "8bit" or part_text(raw, boundary, i).isascii(), "8bit in part", i)
        eightbit = eightbit or encoding == "8bit"
    want(message["Content-Transfer-Encoding"] == ("8bit" if eightbit else "7bit"))
    want(eightbit or raw.isascii())
    part_text(raw, boundary, 0).decode("utf-8")

    first, *others = groups(part_text(raw, boundary, 1))
    want(set(first) <= MESSAGE and first["Reporting-MTA"] == "dns; mx1.hoster.example", first)
    want(len(others) == len(recipients), len(others), "recipients")
    for got, expected in zip(others, recipients):
        want(set(got) <= RECIPIENT, got)
        want({"Final-Recipient", "Action", "Status"} <= set(got), got)
        for field, value in expected.items():
            want(got.get(field) == value, field, got.get(field))
    if types[1] == "message/delivery-status":  # the parser's own reading of it
        want(len(parts[1].get_payload()) == 1 + len(recipients))
        for got in parts[1].get_payload():
            want(not got.defects and set(got.keys()) <= MESSAGE | RECIPIENT, got.keys())
    if name == "dane":
        want(first["Original-Envelope-Id"] == "QQ+314", first)
    if name == "longest":
        want("Original-Envelope-Id" not in first)
    if name == "injected":
        want(first["Original-Envelope-Id"] == "a??X-Envid: 1", first)
    if name in ("failed", "8bit body"):
        original = parts[2].get_payload()[0]
        want(original["Subject"] == "hello" and original.get_payload(decode=True).startswith(b"A b"))


def main():
    seen, i = set(), 0
    while True:
        run = subprocess.run([sys.argv[1], "--print", str(i)], capture_output=True, check=False)
        if run.returncode == 2:
            break
        want(run.returncode == 0, run.stderr)
        name, raw = run.stdout.split(b"\n", 1)
        try:
            judge(name.decode(), raw)
        except AssertionError as e:
            print("%s: %s" % (name.decode(), e))
            return 1
        seen.add(name.decode())
        i += 1
    want(seen == set(EXPECTED), "cases", seen ^ set(EXPECTED))
    print("%d notifications judged" % i)
    return 0


if __name__ == "__main__":
    sys.exit(main())
