#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Conversations of interop_edge.sh, this side of all of them: interop_talk.py FILE ADDR GO. A line of FILE is
"NAME listen PORT STEP..." or "NAME connect PORT STEP..." (to ADDR), each is carried out by a thread of its
own once the file GO is there, and what became of the steps is printed as "NAME: ...".

  touch=FILE  wait=FILE    what comes first        nap=MS    sleep
  port=N                   of our own              set=NAME,VALUE    an option of SOL_SOCKET or IPPROTO_TCP
  dial  accept             the next connection; the one before stays open
  before                   the one before is the one to talk about again
  say=TEXT  oob=TEXT       bytes; bytes of which the last is urgent
  send=N  fill             N bytes; until nothing more is taken
  recv=N  drain            N bytes; all until the end or an error, tells how many and what it was
  marked                   all that there is, after the end has come, with a bar at each mark
  error=MIN,MAX            waits for an error without reading, tells it, and when, if not in that many ms
  ask  answer              a byte and one back
  shut  close  reset       FIN; close(); close() with SO_LINGER 0
  vanish                   Linux forgets the connection without a word (TCP_REPAIR)
"""

import errno
import fcntl
import os
import select
import socket
import struct
import sys
import threading
import time

LIMIT = 30
TCP_REPAIR = 19
SIOCATMARK = 0x8905


def wait_for(path):
    end = time.monotonic() + LIMIT
    while not os.path.exists(path):
        if time.monotonic() > end:
            raise OSError(errno.ETIME, path)
        time.sleep(0.005)


class Talk(threading.Thread):
    def __init__(self, name, role, port, steps, addr):
        super().__init__(daemon=True)
        self.name, self.to, self.steps = name, (addr, int(port)), steps
        self.said, self.old = [], []
        self.s = self.listener = None
        if role == "listen":
            self.listener = self.new()
            self.listener.bind(("", int(port)))
            self.listener.listen(8)
        else:
            self.s = self.new()

    def new(self):
        s = socket.socket()
        s.settimeout(LIMIT)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return s

    def run(self):
        for word in self.steps:
            key, _, value = word.partition("=")
            try:
                getattr(self, key)(*([value] if value else []))
            except OSError as e:
                self.said.append(f"{key} {errno.errorcode.get(e.errno, e)}")
        # One write: print() makes two, and another thread's line may come between them.
        print(f"{self.name}: {'; '.join(self.said)}\n", end="", flush=True)

    def dial(self):
        if self.s.fileno() >= 0 and self.connected():
            self.old.append(self.s)
        if self.old or self.s.fileno() < 0:
            self.s = self.new()
            self.s.bind(("", self.port_was))
        self.s.connect(self.to)
        self.port_was = self.s.getsockname()[1]

    def connected(self):
        try:
            return bool(self.s.getpeername())
        except OSError:
            return False

    def accept(self):
        self.old.append(self.s)
        self.s, _ = self.listener.accept()
        self.s.settimeout(LIMIT)

    def before(self):
        self.s = self.old[-1]

    def port(self, n):
        self.s.bind(("", int(n)))

    def set(self, value):
        name, n = value.split(",")
        level = socket.SOL_SOCKET if name.startswith("SO_") else socket.IPPROTO_TCP
        self.s.setsockopt(level, getattr(socket, name), int(n))

    def nap(self, ms):
        time.sleep(int(ms) / 1000)

    def touch(self, path):
        open(path, "w").close()

    def wait(self, path):
        wait_for(path)

    def say(self, text):
        self.s.sendall(text.encode())

    def oob(self, text):
        self.s.send(text.encode(), socket.MSG_OOB)

    def send(self, n):
        self.s.sendall(bytes(i * 7 & 255 for i in range(int(n))))

    def fill(self):
        self.s.setblocking(False)
        quiet = 0
        while quiet < 10:
            try:
                self.s.send(bytes(65536))
                quiet = 0
            except BlockingIOError:
                quiet += 1
                time.sleep(0.02)
        self.s.settimeout(LIMIT)

    def recv(self, n):
        left = int(n)
        while left:
            more = self.s.recv(left)
            if not more:
                raise OSError(errno.ENODATA, "end")
            left -= len(more)

    def drain(self):
        got = 0
        try:
            while more := self.s.recv(65536):
                got += len(more)
            self.said.append(f"{got} end")
        except OSError as e:
            self.said.append(f"{got} {errno.errorcode.get(e.errno, e)}")

    def marked(self):
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        self.poll(select.POLLRDHUP)
        got = b""
        while True:
            if struct.unpack("i", fcntl.ioctl(self.s, SIOCATMARK, bytes(4)))[0]:
                got += b"|"
            more = self.s.recv(65536)
            if not more:
                break
            got += more
        self.said.append(got.decode())

    def poll(self, what):
        p = select.poll()
        p.register(self.s, what)
        if not p.poll(LIMIT * 1000):
            raise OSError(errno.ETIME, "nothing comes")

    def error(self, bounds="0,30000"):
        begin = time.monotonic()
        self.poll(0)
        ms, err = (time.monotonic() - begin) * 1000, self.s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        least, most = map(int, bounds.split(","))
        when = "" if least <= ms <= most else f" after {ms:.0f} ms"
        self.said.append(errno.errorcode.get(err, str(err)) + when)

    def ask(self):
        self.s.sendall(b"?")
        self.said.append("answered" if self.s.recv(1) else "not answered")

    def answer(self):
        self.s.sendall(self.s.recv(1))

    def shut(self):
        self.s.shutdown(socket.SHUT_WR)

    def close(self):
        self.s.close()

    def reset(self):
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.s.close()

    def vanish(self):
        self.s.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        self.s.close()


def main():
    with open(sys.argv[1]) as f:
        talks = [Talk(w[0], w[1], w[2], w[3:], sys.argv[2]) for w in map(str.split, f)]
    print("listening", flush=True)
    wait_for(sys.argv[3])  # the other side listens, too
    for t in talks:
        t.start()
    for t in talks:
        t.join(3 * LIMIT)


if __name__ == "__main__":
    main()
