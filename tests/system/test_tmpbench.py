import json, os, subprocess, sys, time
from pathlib import Path
import pytest
from lab import certs
from lab.namespace import HOME
sys.path.insert(0, str(HOME))
from bench.measure import Sink

def drive(world, d, commands):
    p = HOME / "build/tests/queue/queue_drive"
    done = subprocess.run([*os.environ.get("PERF","").split(), str(p), str(d), str(world.root_hints), str(world.trust_anchor)], input=commands,
                          stdout=subprocess.PIPE, stderr=open(os.environ.get("QLOG","/tmp/qlog"), "w"), text=True, timeout=200)
    return [json.loads(x) for x in done.stdout.splitlines()]

def make(world, hosts, domains, name="mx"):
    build = HOME / "build"
    cert = certs.self_signed("mx.h.example")
    pem = cert.write(world.dir / "sink.pem")
    addresses = [world.address() for _ in range(hosts)]
    sink = Sink(build / "bench/sink", pem, addresses, world.logs / "sink.log")
    world.add_daemon(sink)
    for i, a in enumerate(addresses):
        world.add_zone(f"h{i}.example", [f"mx A {a}", f"_25._tcp.mx TLSA {cert.tlsa(3,1,1)}"])
    for i in range(domains):
        world.add_zone(f"d{i}.example", [f"@ MX 10 mx.h{i % hosts}.example."])
    world.start()
    return sink

@pytest.mark.parametrize("connections", [5, 20])
def test_one_domain(fresh_world, tmp_path, connections, capfd):
    make(fresh_world, 1, 1)
    n = 5000
    out = drive(fresh_world, tmp_path/"q", f"set connections {connections}\nset per_address {connections}\nput a@s.test u%@d0.example 4096 {n}\ncpu\nrun 60\ncpu\nstats\n")
    t = out[1]["cpu_ms"] - out[0]["cpu_ms"]
    with capfd.disabled(): print("one domain", connections, t/n, "ms/msg", out)

def test_many_domains(fresh_world, tmp_path, capfd):
    make(fresh_world, 20, 200)
    n = 200
    cmds = "".join(f"put a@s.test u{k}@d%.example 4096 200\n" for k in range(10)) + "cpu\nrun 60\ncpu\nstats\n"
    begin = time.time()
    out = drive(fresh_world, tmp_path/"q", cmds)
    t = out[1]["cpu_ms"] - out[0]["cpu_ms"]
    with capfd.disabled(): print("200 domains on 20", t/2000, "ms/msg", out)
