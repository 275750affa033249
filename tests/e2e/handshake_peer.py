#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Either side of the handshakes that handshake.sh makes: Fast Open, cookies, crossed SYNs.

  serve PORT BACKLOG FASTOPEN            echoes until it is told to end
  fast ADDR PORT COUNT                   connections with data in the SYN; prints how many took it
  load ADDR PORT COUNT BYTES             connections that send BYTES and want them back
  cross ADDR PORT PEER PORT COUNT        COUNT connections that both sides open at once
"""

import errno
import select
import socket
import sys
import time

SYN_DATA = 32  # TCPI_OPT_SYN_DATA, in the byte tcpi_options


def syn_data(s):
    return bool(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[5] & SYN_DATA)


def read_all(s, n):
    got = b""
    while len(got) < n:
        more = s.recv(n - len(got))
        if not more:
            raise SystemExit(f"the stream ended after {len(got)} of {n} bytes")
        got += more
    return got


def serve(port, backlog, fastopen):
    l = socket.socket()
    l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if int(fastopen):
        l.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, int(fastopen))
    l.bind(("", int(port)))
    l.listen(int(backlog))
    while True:
        s, _ = l.accept()
        with s:
            while True:
                data = s.recv(65536)
                if not data:
                    break
                s.sendall(data)


def fast(addr, port, count):
    taken = 0
    for i in range(int(count)):
        with socket.socket() as s:
            text = b"hello %d" % i
            s.sendto(text, socket.MSG_FASTOPEN, (addr, int(port)))
            if read_all(s, len(text)) != text:
                raise SystemExit("another echo")
            taken += syn_data(s)
    print(taken)


def load(addr, port, count, size):
    block = bytes(i * 7 & 255 for i in range(int(size)))
    for _ in range(int(count)):
        with socket.create_connection((addr, int(port)), 20) as s:
            half = len(block) // 2
            for part in (block[:half], block[half:]):
                sent, got = 0, b""
                s.setblocking(False)
                while len(got) < len(part):
                    r, w, _ = select.select([s], [s] if sent < len(part) else [], [], 20)
                    if not r and not w:
                        raise SystemExit("no progress")
                    if w:
                        sent += s.send(part[sent:])
                    if r:
                        got += s.recv(65536)
                if got != part:
                    raise SystemExit("other bytes came back")
                s.setblocking(True)


def cross(addr, port, peer, peer_port, count):
    socks = []
    for i in range(int(count)):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((addr, int(port) + i))
        s.setblocking(False)
        err = s.connect_ex((peer, int(peer_port) + i))
        if err != errno.EINPROGRESS:
            raise SystemExit(f"connect: {errno.errorcode.get(err, err)}")
        socks.append(s)
    deadline, open_now = time.monotonic() + 25, set()
    while len(open_now) < len(socks) and time.monotonic() < deadline:
        _, w, _ = select.select([], [s for s in socks if s not in open_now], [], 1)
        for s in w:
            err = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if err:
                raise SystemExit(f"connect: error {err}")
            open_now.add(s)
    if len(open_now) < len(socks):
        raise SystemExit(f"{len(open_now)} of {len(socks)} opened")
    for i, s in enumerate(socks):
        s.setblocking(True)
        s.settimeout(20)
        s.sendall(b"%04d" % i)
    for i, s in enumerate(socks):
        if read_all(s, 4) != b"%04d" % i:
            raise SystemExit("another peer")
    for s in socks:
        s.close()
    print(len(socks))


if __name__ == "__main__":
    {"serve": serve, "fast": fast, "load": load, "cross": cross}[sys.argv[1]](*sys.argv[2:])
