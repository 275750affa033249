#!/usr/bin/env python3
"""Two ends of a connection and of some datagrams that live as long as the test wants.

Usage: ip6_talk.py echo PORT           answers by TCP and by UDP on ::, whoever asks
       ip6_talk.py ask ADDRESS PORT    one connection and one UDP socket for all orders on standard input:
  tcp N    N bytes there and back, every one compared     udp N    a datagram, again until it is answered
  mtu      IPV6_MTU of both sockets                       new      another connection, or its error
  end
One line of answer for each order."""
# SPDX-License-Identifier: MIT
import errno
import os
import socket
import sys
import threading

IPV6_MTU = 24


def echo_stream(c):
    with c:
        try:
            while data := c.recv(65536):
                c.sendall(data)
        except OSError:
            pass


def echo_datagrams(s):
    while True:
        data, who = s.recvfrom(70000)
        s.sendto(data, who)


def echo(port):
    u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    u.bind(("::", port))
    threading.Thread(target=echo_datagrams, args=(u,), daemon=True).start()
    s = socket.create_server(("::", port), family=socket.AF_INET6)
    print("ready", flush=True)
    while True:
        threading.Thread(target=echo_stream, args=(s.accept()[0],), daemon=True).start()


class Asker:
    def __init__(self, address):
        self.address = address
        self.s = socket.create_connection(address, timeout=30)
        self.u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.u.settimeout(0.3)
        self.u.connect(address)

    def tcp(self, n):
        data = os.urandom(int(n))
        sender = threading.Thread(target=self.s.sendall, args=(data,), daemon=True)
        sender.start()
        got = bytearray()
        while len(got) < len(data):
            more = self.s.recv(65536)
            if not more:
                return "end of file"
            got += more
        sender.join()
        return "same" if got == data else "other bytes"

    def udp(self, n):
        data = os.urandom(int(n))
        for _ in range(100):
            try:
                self.u.send(data)
                if self.u.recv(70000) == data:
                    return "same"
            except OSError as e:    # none came yet, or what a router said about the last one
                last = e
        return f"no answer: {last}"

    def mtu(self):
        return " ".join(str(s.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU)) for s in (self.s, self.u))

    def new(self):
        try:
            with socket.create_connection(self.address, timeout=30) as c:
                c.sendall(b"new")
                return "same" if c.recv(3) == b"new" else "other bytes"
        except OSError as e:
            return errno.errorcode.get(e.errno, str(e))


def main():
    if sys.argv[1] == "echo":
        echo(int(sys.argv[2]))
    asker = Asker((sys.argv[2], int(sys.argv[3])))
    print("ready", flush=True)
    for line in sys.stdin:
        what, *args = line.split()
        if what == "end":
            break
        try:
            print(getattr(asker, what)(*args), flush=True)
        except OSError as e:
            print(f"{what}: {e}", flush=True)


main()
