#!/usr/bin/env python3
"""Clients of the upgrade test, all at once for so many seconds, or until a line comes on standard input.

Usage: upgrade_client.py SECONDS KIND:ADDRESS:PORT ...
  long     one connection that echoes all the time, every byte compared
  short    connect, echo, close, over and over
  udp      datagrams that are echoed; a lost one is sent again after 200 ms and counted

One line for each: KIND PORT ok=N bad=N lost=N pause_ms=N. Exit status 1 if anything was bad."""
# SPDX-License-Identifier: MIT
import os
import socket
import sys
import threading
import time

stop = threading.Event()
results = []


class Run(threading.Thread):
    def __init__(self, kind, addr):
        super().__init__(daemon=True)
        self.kind, self.addr = kind, addr
        self.ok = self.bad = self.lost = self.pause = 0

    def echo(self, c, n):
        data = os.urandom(n)
        c.sendall(data)
        got = b""
        while len(got) < n:
            more = c.recv(65536)
            if not more:
                raise OSError("end of file")
            got += more
        if got != data:
            raise OSError("other bytes came back")

    def long(self):
        with socket.create_connection(self.addr, timeout=20) as c:
            while not stop.is_set():
                yield self.echo(c, 20000)
                time.sleep(0.002)
            c.shutdown(socket.SHUT_WR)
            if c.recv(1):
                raise OSError("bytes after the end")

    def short(self):
        while not stop.is_set():
            with socket.create_connection(self.addr, timeout=20) as c:
                self.echo(c, 200)
                c.shutdown(socket.SHUT_WR)
                c.recv(1)
            yield
            time.sleep(0.001)

    def udp(self):
        s = socket.socket(socket.AF_INET6 if ":" in self.addr[0] else socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(0.2)
        number = 0
        while not stop.is_set():
            number += 1
            data = number.to_bytes(8, "big") * 20
            for _ in range(50):
                try:
                    s.sendto(data, self.addr)
                    while s.recv(65536) != data:
                        pass
                    break
                except (TimeoutError, ConnectionRefusedError):
                    self.lost += 1
            else:
                raise OSError("no answer")
            yield
            time.sleep(0.002)

    def run(self):
        while not stop.is_set():
            at = time.monotonic()
            try:
                for _ in getattr(self, self.kind)():
                    self.ok += 1
                    now = time.monotonic()
                    self.pause = max(self.pause, now - at)
                    at = now
            except OSError as e:
                self.bad += 1
                print(f"{self.kind} {self.addr[1]}: {e}", file=sys.stderr, flush=True)
                time.sleep(0.05)


for arg in sys.argv[2:]:
    kind, rest = arg.split(":", 1)
    host, port = rest.rsplit(":", 1)
    results.append(Run(kind, (host, int(port))))
for r in results:
    r.start()
time.sleep(float(sys.argv[1]))
stop.set()
for r in results:
    r.join(25)
    print(f"{r.kind} {r.addr[1]} ok={r.ok} bad={r.bad + r.is_alive()} lost={r.lost} "
          f"pause_ms={r.pause * 1000:.0f}", flush=True)
sys.exit(any(r.bad or not r.ok or r.is_alive() for r in results))
