#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Datagram programs for udp_apps.sh, for the kernel's side and for the stack's:

  echo PORT [ADDRESS]        answers each datagram with itself (asyncio)
  serve PORT                 the same, one after the other, asleep in recvfrom()
  ask ADDRESS PORT           asks an echo server with datagrams of many lengths up to 65507
  refused ADDRESS PORT       sends where nobody listens: the error must come back
  member GROUP PORT ADDRESS  prints "ready", then one datagram sent to the group
  publish GROUP PORT ADDRESS sends to the group until told to end
  reports GROUP SECONDS      waits for an IGMP report that joins the group (a packet socket)
  broadcast ADDRESS PORT     sends to a broadcast address until told to end
  hear PORT                  prints "ready", then one datagram
  memcached ADDRESS PORT     sets and gets through memcached's UDP frames
"""

import asyncio
import hashlib
import os
import socket
import struct
import sys
import time

TEXT = b"hello from the other side"


def say(text):
    print(text, flush=True)


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(data, addr)


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


async def echo(port, address="0.0.0.0"):
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Echo, local_addr=(address, int(port)))
    say("ready")
    await asyncio.sleep(3600)


def serve(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("", int(port)))
    say("ready")
    while True:
        data, addr = s.recvfrom(70000)
        s.sendto(data, addr)


def ask(address, port):
    s = socket.socket(family_of(address), socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    s.settimeout(2)
    s.connect((address, int(port)))
    for n in (1, 100, 1472, 1473, 2953, 8000, 30000, 65506, 65507):
        data = os.urandom(n)
        for _ in range(5):  # a datagram may be lost
            s.send(data)
            try:
                got = s.recv(70000)
            except TimeoutError:
                continue
            if got == data:
                break
        else:
            sys.exit(f"{n} bytes did not come back")
    say("all lengths")


def refused(address, port):
    s = socket.socket(family_of(address), socket.SOCK_DGRAM)
    s.settimeout(5)
    s.connect((address, int(port)))
    s.send(b"x")
    try:
        s.recv(10)
    except ConnectionRefusedError:
        say("refused")


def group_socket(group, address):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
    return s


def member(group, port, address):
    s = group_socket(group, address)
    s.bind(("", int(port)))
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                 socket.inet_aton(group) + socket.inet_aton(address))
    s.settimeout(20)
    say("ready")
    data, _ = s.recvfrom(100)
    say("heard" if data == TEXT else "wrong")


def send_until_end(s, to):
    for _ in range(200):
        s.sendto(TEXT, to)
        time.sleep(0.1)


def publish(group, port, address):
    send_until_end(group_socket(group, address), (group, int(port)))


def broadcast(address, port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    send_until_end(s, (address, int(port)))


def hear(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("", int(port)))
    s.settimeout(20)
    say("ready")
    data, _ = s.recvfrom(100)
    say("heard" if data == TEXT else "wrong")


def joins(packet, group):
    """Is it an IGMPv3 report (RFC 3376 4.2) with a record that joins the group?"""
    if len(packet) < 20 or packet[9] != 2:
        return False
    igmp = packet[(packet[0] & 15) * 4:]
    if len(igmp) < 8 or igmp[0] != 0x22:
        return False
    n, at = struct.unpack("!H", igmp[6:8])[0], 8
    for _ in range(n):
        kind, aux, sources = struct.unpack("!BBH", igmp[at:at + 4])
        if igmp[at + 4:at + 8] == group and kind in (2, 4) and sources == 0:
            return True
        at += 8 + 4 * sources + 4 * aux
    return False


def reports(group, seconds):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    s.settimeout(0.2)
    say("ready")
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        try:
            if joins(s.recv(2000), socket.inet_aton(group)):
                say("joined")
                return
        except TimeoutError:
            pass
    say("no report")


def memcached_call(s, number, command):
    """One request in one datagram, the answer in some (memcached's doc/protocol.txt, UDP)."""
    for _ in range(5):
        s.send(struct.pack("!HHHH", number, 0, 1, 0) + command)
        parts, total = {}, None
        try:
            while total is None or len(parts) < total:
                data = s.recv(2000)
                got, seq, total, _ = struct.unpack("!HHHH", data[:8])
                if got == number:
                    parts[seq] = data[8:]
            return b"".join(parts[i] for i in sorted(parts))
        except TimeoutError:
            continue
    sys.exit(f"memcached does not answer {command[:20]}")


def memcached(address, port):
    s = socket.socket(family_of(address), socket.SOCK_DGRAM)
    s.settimeout(2)
    s.connect((address, int(port)))
    for i in range(200):
        value = hashlib.sha256(str(i).encode()).hexdigest().encode() * (i % 15 + 1)
        got = memcached_call(s, 2 * i, b"set k%d 0 0 %d\r\n%s\r\n" % (i, len(value), value))
        if got != b"STORED\r\n":
            sys.exit(f"set {i}: {got}")
        got = memcached_call(s, 2 * i + 1, b"get k%d\r\n" % i)
        if got != b"VALUE k%d 0 %d\r\n%s\r\nEND\r\n" % (i, len(value), value):
            sys.exit(f"get {i}: {got[:60]}")
    say("all values")


def main():
    what, args = sys.argv[1], sys.argv[2:]
    if what == "echo":
        asyncio.run(echo(*args))
    else:
        {"serve": serve, "ask": ask, "refused": refused, "member": member, "publish": publish,
         "reports": reports, "broadcast": broadcast, "hear": hear,
         "memcached": memcached}[what](*args)


if __name__ == "__main__":
    main()
