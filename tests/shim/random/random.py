#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Randomised differential test: the same seeded sequences of socket calls on the kernel and preloaded.

Two programs (random_calls) run side by side, one bare in a namespace whose lo has the address, one
preloaded in another with an engine of its own. Both get the same seeds; their traces must be equal.
A seed that differs is run again: a difference that comes back is a failure, with the seed, the first
differing step and what came before. --seed N runs one, --shrink drops the steps it does not need.
"""

import argparse
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from addr6 import wait_route6  # noqa: E402

ADDR = "10.77.0.2"
ADDR6 = "fd77::2"
STALL = 60  # seconds without a trace line: the program hangs


def options():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("--program", required=True)
    p.add_argument("--shim", required=True)
    p.add_argument("--engine", required=True)
    p.add_argument("--tool", help="the fastnet tool: asks the engine for leaked sockets at the end")
    p.add_argument("--first", default="", help="libraries to preload before the shim (sanitizers)")
    p.add_argument("--seed", type=int, help="run this one and show where it differs")
    p.add_argument("--from-seed", type=int, help="first seed (default: FASTNET_TEST_SEED or 1)")
    p.add_argument("--seconds", type=float, default=20)
    p.add_argument("--steps", type=int, default=40)
    p.add_argument("--drop", default="", help="steps to leave out, 3,7,12")
    p.add_argument("--failures", type=int, default=5, help="stop after so many")
    p.add_argument("--shrink", action="store_true", help="drop the steps that a difference can spare")
    p.add_argument("--show", action="store_true", help="print both traces of --seed")
    p.add_argument("--with", dest="extra", default="oob,udp,six",
                   help="beside IPv4 streams: oob, udp, six (comma between)")
    p.add_argument("--ignore", help="regex: differences whose bare line matches are only counted")
    p.add_argument("--side", choices=["bare", "stack"], help=argparse.SUPPRESS)
    p.add_argument("--out", help=argparse.SUPPRESS)
    return p.parse_args()


# ---- one side, inside its namespace ----
def start_engine(opt):
    r, w = os.pipe()
    log = open(os.path.join(opt.out, "engine.log"), "ab")
    cmd = [opt.engine, "--socket", os.path.join(opt.out, "engine.sock"), "--port", "none",
           "--addr", f"{ADDR}/24,{ADDR6}/64", "--config", "/dev/null", "--hugepages", "off",
           "--ready-fd", str(w)]
    engine = subprocess.Popen(cmd, pass_fds=[w], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    os.close(w)
    with os.fdopen(r) as f:
        line = f.readline().strip()
    if line != "ok":
        sys.exit(f"the engine did not start: {line or 'no word from it'}")
    return engine


def run_side(opt):
    """Starts what this side needs and the program on our stdin and stdout; waits for its end."""
    def ip(*words):
        subprocess.run(["ip"] + list(words), check=True)
    ip("link", "set", "lo", "up")
    env = dict(os.environ, FN_TEST_ADDR=ADDR, FN_TEST_ADDR6=ADDR6)
    env.pop("LD_PRELOAD", None)
    engine = None
    if opt.side == "bare":
        ip("addr", "add", ADDR + "/32", "dev", "lo")
        ip("addr", "add", ADDR6 + "/128", "dev", "lo", "nodad")
        wait_route6(ADDR6)
    else:
        # Down again: nothing that goes to the kernel by mistake can be connected to anything.
        ip("link", "set", "lo", "down")
        engine = start_engine(opt)
        env.update(FASTNET_SOCKET=os.path.join(opt.out, "engine.sock"), FASTNET_AUTOSTART="0",
                   LD_PRELOAD=f"{opt.first} {opt.shim}".strip())
        if opt.first:
            env["ASAN_OPTIONS"] = "detect_leaks=0:handle_segv=0:" + env.get("ASAN_OPTIONS", "")
    with open(os.path.join(opt.out, opt.side + ".err"), "ab") as err:
        args = [opt.program] + opt.extra.split(",")
        program = subprocess.Popen(args, env=env, stderr=err)
    code = program.wait()
    if engine:
        if engine.poll() is not None:
            print(f"engine ended: {engine.returncode}", flush=True)
        engine.terminate()
        try:
            engine.wait(10)
        except subprocess.TimeoutExpired:
            engine.kill()
            engine.wait()
    print(f"program ended: {code}", flush=True)
    return 0


class Side:
    """The program of one side: takes seeds, gives traces; restarted after a crash or a hang."""

    def __init__(self, opt, name, out):
        self.opt, self.name, self.out = opt, name, out
        self.p = None
        self.start()

    def start(self):
        o = self.opt
        cmd = ["unshare", "--net", "--", sys.executable, os.path.abspath(__file__),
               "--side", self.name, "--out", self.out, "--program", o.program, "--shim", o.shim,
               "--engine", o.engine, "--first", o.first, "--with", o.extra]
        self.p = subprocess.Popen(cmd, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  start_new_session=True)
        self.lines = queue.Queue()
        threading.Thread(target=self.reader, args=(self.p, self.lines), daemon=True).start()
        self.next_line("ready")

    @staticmethod
    def reader(p, lines):
        for raw in p.stdout:
            lines.put(raw.decode(errors="replace").rstrip("\n"))
        lines.put(None)

    def next_line(self, want=None):
        try:
            line = self.lines.get(timeout=STALL)
        except queue.Empty:
            line = "HANGS"
        if want and line != want:
            self.stop()
            sys.exit(f"the {self.name} side did not start: {line}")
        return line

    def give(self, seed, steps, drop):
        try:
            self.p.stdin.write(f"{seed} {steps} {','.join(map(str, sorted(drop)))}\n".encode())
            self.p.stdin.flush()
        except BrokenPipeError:
            pass

    def trace(self, seed):
        out = []
        while True:
            line = self.next_line()
            if line is not None:
                out.append(line)
            if line is None or line == "HANGS":
                self.stop()
                self.start()
                return out
            if line.endswith(f"end {seed}"):
                return out

    def ask_tool(self, *words):
        """Not in the namespace: the engine's unix socket is a file."""
        cmd = [self.opt.tool] + list(words) + ["--socket", os.path.join(self.out, "engine.sock")]
        return subprocess.run(cmd, capture_output=True, text=True, timeout=20, check=False).stdout

    def stop(self):
        """Ends the program by end of file, then the group by force: it holds nothing of ours."""
        try:
            self.p.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self.p.wait(5)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.p.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.p.wait()


class Both:
    def __init__(self, opt, tmp):
        self.opt = opt
        self.bare, self.stack = Side(opt, "bare", tmp), Side(opt, "stack", tmp)

    def run(self, seed, steps, drop=()):
        for side in (self.bare, self.stack):
            side.give(seed, steps, drop)
        return self.bare.trace(seed), self.stack.trace(seed)

    def stop(self):
        self.bare.stop()
        self.stack.stop()


def first_difference(bare, stack):
    for i in range(max(len(bare), len(stack))):
        b = bare[i] if i < len(bare) else "(nothing)"
        s = stack[i] if i < len(stack) else "(nothing)"
        if b != s:
            return i, b, s
    return None


def show(seed, bare, stack, context=8):
    at, b, s = first_difference(bare, stack)
    print(f"seed {seed} differs at its line {at}:")
    for line in bare[max(0, at - context):at]:
        print("         ", line)
    print("  bare:  ", b)
    print("  stack: ", s, flush=True)


def shrink(both, opt, seed, bare, stack):
    """Leaves out every step that can go while a difference stays; the traces of what is left."""
    at = first_difference(bare, stack)[0]
    last = (bare[at] if at < len(bare) else bare[-1]).split(" ")[0]
    steps = int(last) + 1 if last.isdigit() else opt.steps
    drop = set()
    size = max(1, steps // 2)
    while size:
        for lo in range(0, steps, size):
            trial = drop | set(range(lo, min(lo + size, steps)))
            if trial == drop or len(trial) == steps:
                continue
            pair = both.run(seed, steps, trial)
            if first_difference(*pair):
                drop, bare, stack = trial, *pair
        size //= 2
    print(f"shrunk: --seed {seed} --steps {steps} --drop {','.join(map(str, sorted(drop)))}")
    show(seed, bare, stack, 100)


def confirmed(both, opt, seed, drop):
    """Twice more the same kind of difference, or it was the machine's load."""
    for _ in range(2):
        pair = both.run(seed, opt.steps, drop)
        if first_difference(*pair) is None:
            return None
    return pair


def one_seed(both, opt):
    drop = {int(n) for n in opt.drop.split(",") if n}
    bare, stack = both.run(opt.seed, opt.steps, drop)
    if opt.show:
        for line in bare:
            print("bare:  ", line)
        for line in stack:
            print("stack: ", line)
    if first_difference(bare, stack) is None:
        print(f"seed {opt.seed}: no difference in {len(bare)} lines")
        return 0
    show(opt.seed, bare, stack)
    if opt.shrink:
        shrink(both, opt, opt.seed, bare, stack)
    return 1


def leaks(both, opt):
    """Sockets that the engine still has for the program, beside the tester's own pair."""
    if not opt.tool:
        return 0
    for _ in range(50):
        rows = [r for r in both.stack.ask_tool("ss").splitlines()[1:] if "TIME-WAIT" not in r]
        if len(rows) <= 2:
            return 0
        time.sleep(0.1)
    print("sockets left in the engine:\n" + "\n".join(rows))
    return 1


def many_seeds(both, opt):
    seed = opt.from_seed or int(os.environ.get("FASTNET_TEST_SEED", "1"))
    start = time.monotonic()
    first, failures, unstable, ignored = seed, 0, 0, 0
    while time.monotonic() < start + opt.seconds and failures < opt.failures:
        pair = both.run(seed, opt.steps)
        at = first_difference(*pair)
        if at and opt.ignore and re.search(opt.ignore, at[1]):
            ignored += 1
        elif at:
            again = confirmed(both, opt, seed, ())
            if again:
                failures += 1
                show(seed, *again)
                if opt.shrink:
                    shrink(both, opt, seed, *again)
            else:
                unstable += 1
                print("did not come back:")
                show(seed, *pair)
        seed += 1
    failures += leaks(both, opt)
    n = seed - first
    took = time.monotonic() - start
    print(f"seeds {first}..{seed - 1}: {n} in {took:.0f} s ({n / took:.1f} a second), "
          f"{failures} failures, {ignored} ignored, {unstable} differences that did not come back")
    return 1 if failures or unstable > 1 + n // 200 else 0


def main():
    opt = options()
    if opt.side:
        return run_side(opt)
    if os.geteuid() != 0:
        print("needs root for network namespaces")
        return 77
    with tempfile.TemporaryDirectory(prefix="fastnet-random-") as tmp:
        both = Both(opt, tmp)
        try:
            code = one_seed(both, opt) if opt.seed is not None else many_seeds(both, opt)
        finally:
            both.stop()
        for name in ("stack.err", "engine.log"):
            text = open(os.path.join(tmp, name), errors="replace").read()
            if "Sanitizer" in text or "runtime error:" in text:
                print(text[:4000])
                code = 1
            elif code:
                print(text[-1500:], end="")
    return code


if __name__ == "__main__":
    sys.exit(main())
