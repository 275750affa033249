#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a program of mTCP's interface beside an engine without a port: both ends are on the stack.

  run.py --engine FASTNETD [--workers N] [--preload LIBRARY] [--autostart] program arguments...

--autostart: no engine is there; the program has to start one, which ends by itself afterwards.
"""
import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time

ADDR = "10.77.0.2"


def start_engine(opt, socket, log):
    r, w = os.pipe()
    engine = subprocess.Popen(
        [opt.engine, "--socket", socket, "--addr", ADDR + "/24", "--port", "none", "--workers", opt.workers,
         "--config", "/dev/null", "--hugepages", "off", "--ready-fd", str(w)],
        pass_fds=[w], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    os.close(w)
    with os.fdopen(r) as f:
        line = f.readline().strip()
    if line != "ok":
        engine.kill()
        engine.wait()
        sys.exit(f"the engine did not start: {line or 'no word from it'}")
    return engine


def stop(process):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def run(opt, env):
    p = subprocess.Popen(opt.program, env=env, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        return p.wait(opt.timeout)
    except subprocess.TimeoutExpired:
        print("timeout")
        os.killpg(p.pid, signal.SIGKILL)
        p.wait()
        return 1


def gone(socket):
    """An engine that was started by the program ends some time after it."""
    end = time.monotonic() + 30
    while os.path.exists(socket) and time.monotonic() < end:
        time.sleep(0.05)
    return not os.path.exists(socket)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--engine", required=True)
    p.add_argument("--workers", default="1")
    p.add_argument("--preload", default="")
    p.add_argument("--autostart", action="store_true")
    p.add_argument("--timeout", type=float, default=150)
    p.add_argument("program", nargs=argparse.REMAINDER)
    opt = p.parse_args()
    with tempfile.TemporaryDirectory(prefix="fastnet-mtcp-") as tmp, open(tmp + "/log", "wb") as log:
        socket = tmp + "/engine.sock"
        env = dict(os.environ, FN_TEST_ADDR=ADDR, FASTNET_SOCKET=socket, FASTNET_AUTOSTART="0",
                   CK_TIMEOUT_MULTIPLIER="20")
        if opt.preload:
            env["LD_PRELOAD"] = opt.preload
        engine = None
        if opt.autostart:
            env.update(FASTNET_AUTOSTART="1", FASTNET_ENGINE=opt.engine, FASTNET_PORT="none",
                       FASTNET_ADDR=ADDR + "/24", FASTNET_CONFIG="/dev/null", FASTNET_LINGER_S="1",
                       FASTNET_HUGEPAGES="off")
        else:
            engine = start_engine(opt, socket, log)
        code = run(opt, env)
        if engine:
            if engine.poll() is not None:
                print(f"the engine has ended: {engine.returncode}")
                code = 1
            stop(engine)
        elif not gone(socket):
            print("the engine that the program has started is still there")
            code = 1
        if code:
            print(open(tmp + "/log", errors="replace").read()[-3000:])
    return 1 if code else 0


if __name__ == "__main__":
    sys.exit(main())
