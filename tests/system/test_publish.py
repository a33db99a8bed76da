"""Records into the DNS of real servers, and read back from each (edge/publish)."""

from __future__ import annotations

from typing import Iterator

import pytest

from lab.dns_server import Rule
from lab.world import World
from tests.system.publishing import OWNER, ZONE, Hoster, Key, records, shown, wait_for


@pytest.fixture
def hoster(fresh_world: World) -> Iterator[Hoster]:
    yield Hoster(fresh_world)


def everywhere(hoster: Hoster, *sets: dict, seen: str = "signed") -> None:
    wait_for(lambda: set(hoster.seen(*sets)) == {seen}, f"{seen} at every server",
             last=lambda: hoster.run(*sets))


def test_replaced_and_seen_signed_everywhere(hoster: Hoster) -> None:
    hoster.start()
    assert hoster.seen(records(1)) == ["other", "other"]  # nothing there yet
    assert hoster.seen(records()) == ["signed", "signed"]  # which the zone denies
    for octets in ((1,), (1, 2), (2,), (2,)):  # the last changes nothing
        result = hoster.update(records(*octets), servers=hoster.addresses[:1])
        assert result["outcome"] == "applied", result
        assert result["keys"] == "secure"
        assert [s["seen"] for s in result["sights"]] == ["signed"], result
        assert result["sights"][0]["ttl"] == 300
        everywhere(hoster, records(*octets))
        for address in hoster.addresses:
            assert shown(address, OWNER, "TLSA") == {f"3 1 1 {o:02x}" + f"{o:02x}" * 31 for o in octets}
    assert hoster.update(records(), servers=[])["outcome"] == "applied"
    everywhere(hoster, records())
    # Of a denial: the smaller one of the SOA record's TTL and its minimum.
    assert {s["ttl"] for s in hoster.run(records())["sights"]} == {60}
    assert set(hoster.seen(records(2))) == {"other"}


@pytest.mark.parametrize("algorithm", ["hmac-sha256", "hmac-sha512"])
def test_several_rrsets_and_an_alias(fresh_world: World, algorithm: str) -> None:
    hoster = Hoster(fresh_world, algorithm).start()
    shared = records(1, 2, owner=f"_dane.{ZONE}")
    alias = {"owner": OWNER, "type": "CNAME", "ttl": 60,
             "rdata": [b"".join(bytes([len(label)]) + label.encode() for label in
                                f"_dane.{ZONE}".split(".")).hex() + "00"]}
    assert hoster.update(records(1), servers=[])["outcome"] == "applied"
    # In one change a server may drop the alias silently: never made.
    result = hoster.update(alias, records(), servers=[])
    assert result["outcome"] == "refused" and "in one change" in result["words"], result
    new = {**alias, "was": []}
    result = hoster.update(new, servers=[])
    assert result["outcome"] == "refused" and "YXDOMAIN" in result["words"], result
    assert hoster.update(records(), servers=[])["outcome"] == "applied"
    assert hoster.update(shared, new, servers=[])["outcome"] == "applied"
    everywhere(hoster, shared, alias)
    everywhere(hoster, records())  # a CNAME in its place
    # Records beside a CNAME would be dropped silently: refused, by a prerequisite.
    result = hoster.update(records(9))
    assert result["outcome"] == "refused" and "YXRRSET" in result["words"], result
    assert {s["seen"] for s in result["sights"]} == {"other"}
    assert hoster.update({**alias, "rdata": []}, records(3), servers=[])["outcome"] == "applied"
    everywhere(hoster, records(3), {**alias, "rdata": []})


def test_guarded(hoster: Hoster) -> None:
    hoster.start()
    was_nothing, was_one = {"was": []}, {"was": records(1)["rdata"]}
    result = hoster.update(records(2, **was_one), servers=[])
    assert result["outcome"] == "refused" and "NXRRSET" in result["words"], result
    assert hoster.update(records(1, **was_nothing), servers=[])["outcome"] == "applied"
    result = hoster.update(records(2, **was_nothing), servers=hoster.addresses[:1])
    assert result["outcome"] == "refused" and "YXRRSET" in result["words"], result
    assert result["sights"][0]["seen"] == "other"
    assert hoster.update(records(2, **was_one), servers=[])["outcome"] == "applied"
    everywhere(hoster, records(2))


def test_refused(hoster: Hoster, tmp_path) -> None:
    hoster.start()
    # The key may not change addresses.
    address = {"owner": f"mx.{ZONE}", "type": "A", "ttl": 60, "rdata": ["c6336402"]}
    result = hoster.update(address, servers=[])
    assert result["outcome"] == "unknown" and "may not do that" in result["words"], result  # Knot's way
    assert shown(hoster.addresses[0], f"mx.{ZONE}", "A") == {"198.51.100.1"}
    # A secret, and a name, that the server does not have. It cannot sign that.
    for key, word in ((Key(tmp_path / "secret"), "BADSIG"),
                      (Key(tmp_path / "name", name="other"), "BADKEY")):
        result = hoster.update(records(7), key=key)
        assert result["outcome"] == "unknown" and word in result["words"], result
        assert {s["seen"] for s in result["sights"]} == {"other"}
    # Wrong clocks, told by the server, signed.
    for clock, words in ((3600, "behind ours"), (-3600, "ahead of ours")):
        result = hoster.update(records(7), clock=clock)
        assert result["outcome"] == "refused", result
        assert "BADTIME" in result["words"] and words in result["words"]
        assert {s["seen"] for s in result["sights"]} == {"other"}
    # A server that is not primary.
    result = hoster.update(records(7), address=hoster.addresses[1], servers=[])
    assert result["outcome"] in ("refused", "unknown"), result
    # Nobody there.
    result = hoster.update(records(7), address=hoster.world.address(), servers=[])
    assert result["outcome"] == "not-sent", result


def test_stale_secondary(hoster: Hoster) -> None:
    hoster.start()
    assert hoster.update(records(1), servers=[])["outcome"] == "applied"
    everywhere(hoster, records(1))
    hoster.block_transfers()
    result = hoster.update(records(1, 2))
    assert result["outcome"] == "applied", result
    for _ in range(3):
        assert hoster.seen(records(1, 2)) == ["signed", "other"]
    assert hoster.seen(records(1)) == ["other", "signed"]
    hoster.allow_transfers()
    assert hoster.update(records(1, 2, 3), servers=[])["outcome"] == "applied"
    everywhere(hoster, records(1, 2, 3))
    hoster.secondary.stop()
    result = hoster.run(records(1, 2, 3))
    assert [s["seen"] for s in result["sights"]] == ["signed", "no-answer"], result


def test_lost_and_forged_answers(hoster: Hoster) -> None:
    front = hoster.world.add_dns()
    hoster.start()
    front.backend = hoster.addresses[0]
    middle = front.addresses[0]
    # An honest server between: the answer is signed end to end.
    assert hoster.update(records(1), address=middle)["outcome"] == "applied"
    # Done, and the answer is lost.
    front.rules[:] = [Rule("drop-answer", qtype="UPDATE")]
    result = hoster.update(records(2), address=middle, timeout=1, servers=hoster.addresses[:1])
    assert result["outcome"] == "unknown" and "no answer in time" in result["words"], result
    assert [s["seen"] for s in result["sights"]] == ["signed"]
    # Not done, and nothing is said.
    front.rules[:] = [Rule("drop", qtype="UPDATE")]
    result = hoster.update(records(3), address=middle, timeout=1)
    assert result["outcome"] == "unknown", result
    assert [s["seen"] for s in result["sights"]][0] == "other"
    # Not done, and somebody says that it is; or that it is refused.
    for action, word in (("empty", "NOERROR"), ("refused", "REFUSED")):
        front.rules[:] = [Rule(action, qtype="UPDATE")]
        result = hoster.update(records(3), address=middle)
        assert result["outcome"] == "unknown", result
        assert "not signed" in result["words"] and word in result["words"]
        assert [s["seen"] for s in result["sights"]][0] == "other"
    assert [q.action for q in front.asked(qtype="UPDATE")] == \
        ["pass", "drop-answer", "drop", "empty", "refused"]


def test_read_back_believes_signatures_only(hoster: Hoster) -> None:
    """A server that shows what is wanted, but not signed, or says that it is gone."""
    front = hoster.world.add_dns()
    hoster.start()
    front.backend = hoster.addresses[0]
    at = [front.addresses[0]]
    assert hoster.update(records(1), servers=[])["outcome"] == "applied"
    text = f"{OWNER}. TLSA 3 1 1 " + "02" * 32
    for rule, wanted, seen in (
            (Rule("pass"), records(1), "signed"),
            (Rule("strip-rrsig"), records(1), "unsigned"),
            (Rule("forge", records=[text]), records(2), "unsigned"),
            (Rule("forge-signed", records=[text]), records(2), "bad-signature"),
            (Rule("nxdomain"), records(), "unsigned"),
            (Rule("empty"), records(), "unsigned"),
            (Rule("replay", records=[f"ns1.{ZONE} TLSA"]), records(), "bad-signature"),
            (Rule("refused"), records(1), "no-answer"),
            (Rule("servfail"), records(), "no-answer"),
            (Rule("drop"), records(1), "no-answer")):
        front.rules[:] = [rule]
        result = hoster.run(wanted, servers=at)
        assert [s["seen"] for s in result["sights"]] == [seen], (rule, result)
    # What a wildcard makes up is not what was published.
    front.rules[:] = []
    any_text = {"owner": f"x.wild.{ZONE}", "type": "TXT", "ttl": 300, "rdata": ["03616e79"]}
    result = hoster.run(any_text, servers=at)
    assert [(s["seen"], s["detail"]) for s in result["sights"]] == [("other", "made from a wildcard")]


def test_bind(hoster: Hoster, tmp_path) -> None:
    hoster.start_bind()
    for octets in ((1,), (1, 2), (2,), (2,), ()):
        result = hoster.update(records(*octets), servers=hoster.addresses[:1])
        assert result["outcome"] == "applied" and result["keys"] == "secure", result
        everywhere(hoster, records(*octets))
    result = hoster.update(records(3, was=records(1)["rdata"]), servers=[])
    assert result["outcome"] == "refused" and "NXRRSET" in result["words"], result
    address = {"owner": f"mx.{ZONE}", "type": "A", "ttl": 60, "rdata": ["c6336402"]}
    result = hoster.update(address, servers=[])
    assert result["outcome"] == "refused" and "does not let this key" in result["words"], result
    for key, word in ((Key(tmp_path / "secret"), "BADSIG"),
                      (Key(tmp_path / "name", name="other"), "BADKEY")):
        result = hoster.update(records(7), key=key, servers=[])
        assert result["outcome"] == "unknown" and word in result["words"], result
    for clock in (3600, -3600):
        result = hoster.update(records(7), clock=clock)
        assert result["outcome"] == "refused" and "BADTIME" in result["words"], result
        assert {s["seen"] for s in result["sights"]} == {"other"}
