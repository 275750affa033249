#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Differential test: each program runs on the bare kernel and preloaded, and must print the same.

Both runs see the same address: bare, it is on lo of one network namespace; preloaded, it is the
engine's, in another namespace whose lo is down and which has no other interface, so that a silent
fallback to the kernel can't connect to anything. Afterwards the kernel's TCP and UDP counters of
that namespace must still be zero. Differences that are meant stand in differences.txt, with the reason.
"""

import argparse
import difflib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

from addr6 import wait_route6

ADDR = "10.77.0.2"
LOOPBACK = "127.0.0.1"
ADDR6 = "fd77::2"
LOOPBACK6 = "::1"
LINKLOCAL = "fe80::77:2"
GATEWAY = "10.77.0.1"
WIRE = "fnt0"
FASTOPEN = "3"
HERE = os.path.dirname(os.path.abspath(__file__))


def options():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("--shim", required=True)
    p.add_argument("--engine", required=True)
    p.add_argument("--timeout", type=float, default=80, help="seconds for one program")
    p.add_argument("--differences", default=os.path.join(HERE, "differences.txt"))
    p.add_argument("--wire", action="store_true",
                   help="an interface with a network, for groups and broadcasts")
    p.add_argument("--loopback", action="store_true",
                   help="over 127.0.0.1, which is then the stack's")
    p.add_argument("--v6", action="store_true", help="there is an IPv6 address, too")
    p.add_argument("--workers", default="1", help="data threads of the engine")
    p.add_argument("--direct", default="", help="the engine's option of that name")
    p.add_argument("--late-control", action="store_true",
                   help="the engine's control thread gets its processor some milliseconds late")
    p.add_argument("--upgrade", default="",
                   help="the tool by which programs have another engine take over")
    p.add_argument("--show", action="store_true", help="print the preloaded output, too")
    p.add_argument("--deephook", default="1")
    p.add_argument("--first", default="", help="libraries to preload before the shim (sanitizers)")
    p.add_argument("--side", choices=["bare", "stack"], help=argparse.SUPPRESS)
    p.add_argument("--out", help=argparse.SUPPRESS)
    p.add_argument("program", nargs="+", help="path, or path:case")
    return p.parse_args()


def run_program(spec, env, timeout, out):
    """Runs one program into out/<name>; kills its process group at the end of its time."""
    path, _, case = spec.partition(":")
    name = os.path.basename(path)
    with open(os.path.join(out, name), "wb") as f, open(os.path.join(out, name + ".err"), "wb") as e:
        p = subprocess.Popen([path] + ([case] if case else []), stdin=subprocess.DEVNULL, stdout=f,
                             stderr=e, env=env, start_new_session=True)
        try:
            code = p.wait(timeout)
        except subprocess.TimeoutExpired:
            code = "timeout"
        try:
            os.killpg(p.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        p.wait()
    with open(os.path.join(out, name), "ab") as f:
        f.write(f"exit status {code}\n".encode())


def start_engine(opt, socket):
    """Starts the engine in this namespace, waits for its ready line."""
    r, w = os.pipe()
    log = open(os.path.join(opt.out, "engine.log"), "wb")
    addrs = ADDR + "/24" + (f",{ADDR6}/64" if opt.v6 else "")
    addrs += f",{LINKLOCAL}/64" if opt.v6 and opt.wire else ""
    cmd = [opt.engine, "--socket", socket, "--addr", addrs,
           "--workers", opt.workers, "--loopback", "stack" if opt.loopback else "kernel", "--config",
           "/dev/null", "--fastopen", FASTOPEN, "--hugepages", "off", "--ready-fd", str(w)]
    cmd += ["--direct", opt.direct] if opt.direct else []
    cmd += (["--port", "net_af_packet0,iface=" + WIRE, "--gateway", GATEWAY] if opt.wire else
            ["--port", "none"])
    engine = subprocess.Popen(cmd, pass_fds=[w], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    os.close(w)
    with os.fdopen(r) as f:
        line = f.readline().strip()
    if line != "ok":
        engine.kill()
        engine.wait()
        sys.exit(f"the engine did not start: {line or 'no word from it'}")
    return engine


def be_late(engine):
    """The engine's first thread, which hears of processes that end, shares a processor with one that is
    always busy and goes before it. Returns that one."""
    cpu = min(os.sched_getaffinity(0))
    hog = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", sys.executable, "-c", "while True: pass"],
                           stdin=subprocess.DEVNULL)
    os.sched_setaffinity(hog.pid, {cpu})
    os.sched_setaffinity(engine.pid, {cpu})
    os.setpriority(os.PRIO_PROCESS, engine.pid, 19)
    return hog


def stop_upgraded(opt, socket, engine):
    """Ends the engine that has taken over, which is no child of ours, and the one that drains beside it."""
    p = subprocess.run([opt.upgrade, "engine", "stop", "--socket", socket], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, check=False, timeout=30)
    try:
        code = engine.wait(10)
    except subprocess.TimeoutExpired:
        code = "running on"
        engine.kill()
        engine.wait()
    if p.returncode or code:
        with open(os.path.join(opt.out, "fault"), "a") as f:
            f.write(f"engine stop: {p.returncode} {p.stdout.decode()}, the old engine: {code}\n")


def kernel_packets():
    """What the kernel's TCP and UDP of this namespace have carried."""
    total = 0
    for proto, names in (("Tcp:", ("InSegs", "OutSegs")),
                         ("Udp:", ("InDatagrams", "NoPorts", "InErrors", "OutDatagrams"))):
        rows = [line.split() for line in open("/proc/net/snmp") if line.startswith(proto)]
        counters = dict(zip(rows[0][1:], rows[1][1:]))
        total += sum(int(counters[name]) for name in names)
    for line in open("/proc/net/snmp6"):
        name, value = line.split()
        if name in ("Udp6InDatagrams", "Udp6NoPorts", "Udp6InErrors", "Udp6OutDatagrams"):
            total += int(value)
    return total


def ip(*args):
    subprocess.run(["ip", *args], check=True)


def allow_fastopen():
    """Servers may do Fast Open in this namespace, as in the engine."""
    with open("/proc/sys/net/ipv4/tcp_fastopen", "w") as f:
        f.write(FASTOPEN)


def make_wire():
    """A cable whose far end lies in a namespace of its own, where nobody listens. Its holder."""
    holder = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"],
                              stdin=subprocess.DEVNULL)
    here, deadline = os.readlink("/proc/self/ns/net"), time.monotonic() + 10
    while os.readlink(f"/proc/{holder.pid}/ns/net") == here and time.monotonic() < deadline:
        time.sleep(0.01)
    for name in ("all", "default"):
        with open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "w") as f:
            f.write("1")
    ip("link", "add", WIRE, "type", "veth", "peer", "name", WIRE, "netns", str(holder.pid))
    ip("link", "set", WIRE, "up")
    subprocess.run(["nsenter", f"--net=/proc/{holder.pid}/ns/net", "ip", "link", "set", WIRE, "up"],
                   check=True)
    return holder


def side_bare(opt):
    allow_fastopen()
    ip("link", "set", "lo", "up")
    holder = None
    if opt.wire:
        holder = make_wire()
        ip("addr", "add", ADDR + "/24", "brd", "+", "dev", WIRE)
        ip("route", "add", "default", "via", GATEWAY)
    else:
        ip("addr", "add", ADDR + "/32", "dev", "lo")
    if opt.v6 and opt.wire:
        with open(f"/proc/sys/net/ipv6/conf/{WIRE}/addr_gen_mode", "w") as f:
            f.write("1")
        for name in (WIRE, "lo"): # what goes to our own addresses passes lo
            with open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "w") as f:
                f.write("0")
        ip("addr", "add", ADDR6 + "/64", "dev", WIRE, "nodad")
        ip("addr", "add", LINKLOCAL + "/64", "dev", WIRE, "nodad")
        wait_route6(LINKLOCAL)
    elif opt.v6:
        ip("addr", "add", ADDR6 + "/128", "dev", "lo", "nodad")
    if opt.v6:
        wait_route6(ADDR6)
    env = dict(os.environ, FN_TEST_LINK=WIRE, FN_TEST_LINKLOCAL=LINKLOCAL,
               FN_TEST_ADDR=LOOPBACK if opt.loopback else ADDR, FN_TEST_WORKERS=opt.workers,
               FN_TEST_ADDR6=LOOPBACK6 if opt.loopback else ADDR6)
    env.pop("LD_PRELOAD", None)
    try:
        for spec in opt.program:
            run_program(spec, env, opt.timeout, opt.out)
    finally:
        end_process(holder)


def end_process(p):
    if p:
        p.kill()
        p.wait()


def side_stack(opt):
    allow_fastopen()
    # Once up, so that the kernel has a table of local addresses and refuses to bind strange ones.
    ip("link", "set", "lo", "up")
    ip("link", "set", "lo", "down")
    holder = make_wire() if opt.wire else None
    socket = os.path.join(opt.out, "engine.sock")
    engine = start_engine(opt, socket)
    env = dict(os.environ, FN_TEST_ADDR=LOOPBACK if opt.loopback else ADDR, FASTNET_SOCKET=socket,
               FN_TEST_LINK=WIRE, FN_TEST_LINKLOCAL=LINKLOCAL,
               FN_TEST_WORKERS=opt.workers, FN_TEST_ADDR6=LOOPBACK6 if opt.loopback else ADDR6,
               FASTNET_LOOPBACK="stack" if opt.loopback else "kernel", FASTNET_AUTOSTART="0",
               LD_PRELOAD=f"{opt.first} {opt.shim}".strip(), FASTNET_DEEPHOOK=opt.deephook)
    if opt.upgrade:
        env["FN_TEST_UPGRADE"] = opt.upgrade
    if opt.first:
        env["ASAN_OPTIONS"] = "detect_leaks=0:handle_segv=0:" + env.get("ASAN_OPTIONS", "")
    hog = be_late(engine) if opt.late_control else None
    seen = 0
    try:
        for spec in opt.program:
            # Listeners with a kernel half need the kernel's loopback; its packets are not counted.
            before = kernel_packets()
            twin = os.path.basename(spec).startswith("prog_twin")
            ip("link", "set", "lo", "up" if twin else "down")
            run_program(spec, env, opt.timeout, opt.out)
            seen += 0 if twin else kernel_packets() - before
            if opt.upgrade: # the next program is upgraded, too
                stop_upgraded(opt, socket, engine)
                engine = start_engine(opt, socket)
            elif engine.poll() is not None:
                with open(os.path.join(opt.out, "fault"), "a") as f:
                    f.write(f"the engine ended ({engine.returncode}) during {spec}\n")
                engine = start_engine(opt, socket)
    finally:
        end_process(hog)
        engine.terminate()
        try:
            engine.wait(10)
        except subprocess.TimeoutExpired:
            engine.kill()
            engine.wait()
        end_process(holder)
    if seen:
        with open(os.path.join(opt.out, "fault"), "a") as f:
            f.write(f"the kernel of the stack's namespace has seen {seen} packets of TCP and UDP\n")


def read_differences(path):
    """Blocks: comment lines with the reason, then '- bare line' and/or '+ preloaded line', or
    '~ expression' that both lines match."""
    allowed, patterns, reason, minus = {}, [], [], None
    for raw in open(path):
        line = raw.rstrip("\n")
        if line.startswith("#"):
            reason = reason + [line[1:].strip()] if not allowed_open(minus) else [line[1:].strip()]
        elif line.startswith("- "):
            minus = line[2:]
            allowed[(minus, None)] = " ".join(reason)
        elif line.startswith("+ "):
            if minus is not None:
                del allowed[(minus, None)]
            allowed[(minus, line[2:])] = " ".join(reason)
            minus = None
        elif line.startswith("~ "):
            patterns.append((re.compile(line[2:]), " ".join(reason)))
        else:
            reason, minus = [], None
    return allowed, patterns


def allowed_open(minus):
    return minus is not None


def reason_for(pair, differences):
    """Why these two lines may differ, None: they may not."""
    allowed, patterns = differences
    if pair in allowed:
        return allowed[pair]
    whys = [next((why for exp, why in patterns if exp.fullmatch(line)), None)
            for line in pair if line is not None]
    return whys[0] if None not in whys else None


def compare(name, bare, stack, differences):
    """Returns the unexplained pairs (bare line, stack line) and the reasons of the others."""
    bad, good = [], []
    match = difflib.SequenceMatcher(None, bare, stack, autojunk=False)
    for tag, i1, i2, j1, j2 in match.get_opcodes():
        if tag == "equal":
            continue
        for k in range(max(i2 - i1, j2 - j1)):
            pair = (f"{name}: {bare[i1 + k]}" if i1 + k < i2 else None,
                    f"{name}: {stack[j1 + k]}" if j1 + k < j2 else None)
            why = reason_for(pair, differences)
            (bad if why is None else good).append(pair if why is None else why)
    return bad, good


def run_side(opt, side, out):
    os.mkdir(out)
    cmd = ["unshare", "--net", "--", sys.executable, os.path.abspath(__file__), "--side", side,
           "--out", out, "--shim", opt.shim, "--engine", opt.engine, "--timeout", str(opt.timeout),
           "--deephook", opt.deephook, "--first", opt.first, "--workers", opt.workers,
           "--upgrade", opt.upgrade]
    cmd += ["--late-control"] * opt.late_control + ["--v6"] * opt.v6
    cmd += ["--wire"] * opt.wire + ["--loopback"] * opt.loopback + opt.program
    limit = 30 + len(opt.program) * (opt.timeout + 5)
    p = subprocess.Popen(cmd, start_new_session=True)
    try:
        code = p.wait(limit)
    except subprocess.TimeoutExpired:
        code = 1
        os.killpg(p.pid, signal.SIGKILL)
        p.wait()
    if code:
        sys.exit(f"the {side} side failed")


def report(opt, tmp):
    differences = read_differences(opt.differences)
    failures = 0
    for spec in opt.program:
        name = os.path.basename(spec.partition(":")[0])
        sides = {}
        for side in ("bare", "stack"):
            with open(os.path.join(tmp, side, name), errors="replace") as f:
                sides[side] = f.read().splitlines()
        if opt.show:
            print("\n".join(sides["stack"]))
        bad, good = compare(name, sides["bare"], sides["stack"], differences)
        end = sides["bare"][-1].removeprefix("exit status ")
        if end.startswith("-") or end == "timeout": # two that fall over alike show nothing
            bad.append((f"{name}: ended by {end}", None))
        for reason in dict.fromkeys(good):
            n = good.count(reason)
            print(f"meant ({n} lines of {name}): {reason}")
        for minus, plus in bad:
            if minus:
                print(f"  bare:  {minus}")
            if plus:
                print(f"  stack: {plus}")
        err = open(os.path.join(tmp, "stack", name + ".err"), errors="replace").read()
        if err and bad:
            print("  stderr:", err[-2000:])
        if "AddressSanitizer" in err or "runtime error:" in err:
            print(err[:4000])
            bad.append((None, None))
        failures += len(bad) > 0
        n = len(sides["bare"]) - 1
        print(f"{'FAIL' if bad else 'ok'}   {name}: {n} lines, {len(bad)} differ, {len(good)} meant")
    fault = os.path.join(tmp, "stack", "fault")
    if os.path.exists(fault):
        print(open(fault).read(), end="")
        failures += 1
    return failures


def main():
    opt = options()
    if opt.side:
        (side_bare if opt.side == "bare" else side_stack)(opt)
        return 0
    if os.geteuid() != 0:
        print("needs root for network namespaces")
        return 77
    with tempfile.TemporaryDirectory(prefix="fastnet-shim-") as tmp:
        start = time.monotonic()
        run_side(opt, "bare", os.path.join(tmp, "bare"))
        run_side(opt, "stack", os.path.join(tmp, "stack"))
        failures = report(opt, tmp)
        print(f"{len(opt.program)} programs, {failures} failures, {time.monotonic() - start:.1f} s")
        if failures:
            log = open(os.path.join(tmp, "stack", "engine.log"), errors="replace").read()
            print(log[-4000:], end="")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
