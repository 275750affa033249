#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs modules of python's own test suite, unmodified, and compares two such runs test by test.

  pysuite.py run  -o FOLDER MODULE...   FOLDER/MODULE.res: "id<TAB>result" lines, MODULE.log: output
  pysuite.py diff BARE STACK MODULE...  every test that passed bare has to pass on the stack; one that did
                                        not may do so alone (as regrtest's -w), up to --again times
  pysuite.py one  RESULTS MODULE        (what `run` starts: one module, tests already in RESULTS left out)

A test that hangs or kills its interpreter is one result; the module goes on with the test after it.
"""

import argparse
import faulthandler
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PASSED = ("ok", "xfail")


def read_results(path):
    """{id: result}; a test that has only begun is None."""
    results = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            for line in f:
                name, _, result = line.rstrip("\n").partition("\t")
                results[name] = result or None
    return results


class Recorder(unittest.TestResult):
    """One line when a test begins, one with its result; tracebacks to stderr."""

    def __init__(self, out):
        super().__init__()
        self.out = out
        self.result = "ok"

    def write(self, test, result):
        print(f"{test.id()}\t{result}", file=self.out, flush=True)

    def startTest(self, test):
        super().startTest(test)
        self.result = "ok"
        self.write(test, "")

    def stopTest(self, test):
        super().stopTest(test)
        self.write(test, self.result)

    def bad(self, test, err, result):
        self.result = result
        print(f"==== {result}: {test.id()}", file=sys.stderr)
        print(self._exc_info_to_string(err, test), file=sys.stderr, flush=True)
        if not isinstance(test, unittest.TestCase):  # setUpClass, setUpModule
            self.write(test, result)

    def addFailure(self, test, err):
        self.bad(test, err, "fail")

    def addError(self, test, err):
        self.bad(test, err, "error")

    def addSubTest(self, test, subtest, err):
        if err:
            self.bad(test, err, "fail")

    def addSkip(self, test, reason):
        self.result = "skip"
        if not isinstance(test, unittest.TestCase):
            self.write(test, "skip")

    def addExpectedFailure(self, test, err):
        self.result = "xfail"

    def addUnexpectedSuccess(self, test):
        self.result = "unexpected"


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def one(path, module, only):
    """Child: the module's tests that have no line in path yet, in the suite's order."""
    from test import support
    support.use_resources = ("network",)  # which test_socketserver asks for; nobody has the Internet
    faulthandler.enable()
    done = read_results(path)
    suite = unittest.defaultTestLoader.loadTestsFromName("test." + module)
    wanted = [t for t in flatten(suite) if t.id() not in done and (not only or t.id() in only)]
    with open(path, "a", encoding="utf-8") as out:
        unittest.TestSuite(wanted).run(Recorder(out))
    return 0


def watch(child, path, limit):
    """Waits; kills the child's process group when no line came for `limit` seconds."""
    size, since = -1, time.monotonic()
    while True:
        try:
            return child.wait(0.2)
        except subprocess.TimeoutExpired:
            pass
        now = os.path.getsize(path) if os.path.exists(path) else 0
        if now != size:
            size, since = now, time.monotonic()
        elif time.monotonic() - since > limit:
            child.send_signal(signal.SIGABRT)  # faulthandler shows where it hangs
            time.sleep(0.5)
            return "timeout"


def run_module(opt, module, env, only=()):
    path = os.path.join(opt.out, module + ".res")
    log = open(os.path.join(opt.out, module + ".log"), "ab")
    begin = time.monotonic()
    while time.monotonic() - begin < opt.module_limit:
        with tempfile.TemporaryDirectory(prefix="pysuite-") as cwd:
            child = subprocess.Popen(
                [*opt.prefix.split(), sys.executable, os.path.abspath(__file__), "one", path, module,
                 *only], cwd=cwd,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True)
            status = watch(child, path, opt.limit)
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.wait()
        hung = [name for name, result in read_results(path).items() if result is None]
        if status == 0 or not hung:
            break
        with open(path, "a", encoding="utf-8") as f:
            for name in hung:
                print(f"{name}\t{'timeout' if status == 'timeout' else f'died {status}'}", file=f)
    if status != 0 and not hung:
        with open(path, "a", encoding="utf-8") as f:
            print(f"{module} (whole)\tdied {status}", file=f)
    results = read_results(path)
    good = sum(result in PASSED for result in results.values())
    if only:
        return good == len(results) > 0
    print(f"  {module}: {good} of {len(results)} passed, {time.monotonic() - begin:.0f} s", flush=True)


def environment(opt):
    env = dict(os.environ)
    for word in opt.env:
        name, _, value = word.partition("=")
        env[name] = value
    return env


def passes_again(opt, module, name):
    """Alone, in a process of its own."""
    for _ in range(opt.again):
        with tempfile.TemporaryDirectory(prefix="pysuite-") as opt.out:
            if run_module(opt, module, environment(opt), [name]):
                print(f"  passes when run again: {name}")
                return True
    return False


def run(opt):
    os.makedirs(opt.out, exist_ok=True)
    env = environment(opt)
    for module in opt.module:
        run_module(opt, module, env)
    return 0


def diff(opt):
    """Prints what passed bare and did not pass on the stack."""
    bad = passed = skipped = 0
    for module in opt.module:
        bare, stack = (read_results(os.path.join(side, module + ".res")) for side in opt.side)
        for name, result in bare.items():
            skipped += result not in PASSED
            if result not in PASSED:
                continue
            if stack.get(name) in PASSED or passes_again(opt, module, name):
                passed += 1
            elif opt.leave and re.search(opt.leave, name):
                print(f"  left out: {name}")
            else:
                bad += 1
                print(f"  passes bare, on the stack: {stack.get(name, 'not run')}: {name}")
    print(f"{passed} tests pass bare and on the stack, {bad} only bare, "
          f"{skipped} are skipped or fail bare")
    return 1 if bad or not passed else 0


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    sub = p.add_subparsers(dest="what", required=True)
    r = sub.add_parser("run")
    r.add_argument("-o", "--out", required=True)
    r.add_argument("module", nargs="+")
    o = sub.add_parser("one")
    o.add_argument("results")
    o.add_argument("one_module")
    o.add_argument("only", nargs="*")
    d = sub.add_parser("diff")
    d.add_argument("side", nargs=2, metavar="FOLDER")
    d.add_argument("--again", type=int, default=0)
    d.add_argument("--except", dest="leave", help="tests that may fail")
    d.add_argument("module", nargs="+")
    for q in (r, d):
        q.add_argument("-e", "--env", action="append", default=[], help="NAME=VALUE for the tests")
        q.add_argument("--prefix", default="", help="words before the command of the tests")
        q.add_argument("--limit", type=float, default=60, help="seconds that one test may take")
        q.add_argument("--module-limit", type=float, default=600)
    opt = p.parse_args()
    if opt.what == "one":
        return one(opt.results, opt.one_module, opt.only)
    return run(opt) if opt.what == "run" else diff(opt)


if __name__ == "__main__":
    sys.exit(main())
