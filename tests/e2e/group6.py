"""IPv6 groups between the stack and the kernel, for group6.sh.
serve INTERFACE PORT OWN    joins groups and answers each datagram with itself: ends at "quit"
ask INTERFACE PORT OWN SERVER SECOND   its client; SECOND: another address of the client
once INTERFACE PORT OWN     sends to a group where a server is, prints the answer
SPDX-License-Identifier: MIT"""
import select
import socket
import struct
import sys
import time

GROUP, LINK, SOURCE, OTHER = "ff15::7", "ff02::7:7", "ff35::9", "ff15::8"
RECORDS = {1: "is in", 2: "is ex", 3: "to in", 4: "to ex", 5: "allow", 6: "block"}
JOIN_SOURCE = 46  # MCAST_JOIN_SOURCE_GROUP


def sockaddr(address):
    """A struct sockaddr_storage."""
    return struct.pack("@HHI16sI100x", socket.AF_INET6, 0, 0, socket.inet_pton(socket.AF_INET6, address), 0)


def datagrams(interface):
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex(interface))
    s.settimeout(10)
    return s


def serve(interface, port, own):
    index = socket.if_nametoindex(interface)
    s = datagrams(interface)
    s.bind(("::", int(port)))
    s.settimeout(60)

    def member(option, group):
        s.setsockopt(socket.IPPROTO_IPV6, option, socket.inet_pton(socket.AF_INET6, group) +
                     struct.pack("@I", index))

    member(socket.IPV6_JOIN_GROUP, GROUP)
    member(socket.IPV6_JOIN_GROUP, LINK)
    s.setsockopt(socket.IPPROTO_IPV6, JOIN_SOURCE,
                 struct.pack("@I4x", index) + sockaddr(SOURCE) + sockaddr(own))
    print("ready", flush=True)
    while True:
        data, peer = s.recvfrom(70000)
        if data == b"leave":
            member(socket.IPV6_LEAVE_GROUP, GROUP)
        s.sendto(data, peer)
        if data == b"quit":
            break


def ask_one(s, data, to):
    """The answer's payload and sender, as text."""
    s.sendto(data, to)
    got = None
    try:
        while got != data:  # two engines may both have had the question before it
            got, peer = s.recvfrom(70000)
    except OSError as error:
        return type(error).__name__
    who = "its link address" if peer[0].startswith("fe80:") else peer[0].partition("%")[0]
    return "the same from " + who


class Reports:
    """What hosts tell routers (RFC 3810 5.2), off the wire."""

    def __init__(self, interface):
        self.raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x86dd))
        self.raw.bind((interface, 0x86dd))
        mreq = struct.pack("@iHH8s", socket.if_nametoindex(interface), 2, 0, b"")  # all groups
        self.raw.setsockopt(263, 1, mreq)

    def wait(self, group, wanted, seconds=10):
        """For a record of the group of the wanted type."""
        end = time.monotonic() + seconds
        while select.select([self.raw], [], [], max(0, end - time.monotonic()))[0]:
            p = self.raw.recv(2000)
            if len(p) < 56 or p[6] != 0 or p[40] != 58 or p[48] != 143 or p[8:10] != b"\xfe\x80":
                continue
            at = 56
            for _ in range(struct.unpack("!H", p[54:56])[0]):
                kind, _, n, g = struct.unpack("!BBH16s", p[at:at + 20])
                if socket.inet_ntop(socket.AF_INET6, g) == group and RECORDS[kind] == wanted:
                    return "told"
                at += 20 + 16 * n
        return "not told"


def query(interface):
    """A general query, to be answered within a second (RFC 3810 5.1)."""
    raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS, bytes([0, 0, 5, 2, 0, 0, 1, 0]))
    raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
    p = struct.pack("!BBHHH16sBBH", 130, 0, 0, 1000, 0, bytes(16), 2, 125, 0)
    raw.sendto(p, ("ff02::1", 0, 0, socket.if_nametoindex(interface)))


def ask(interface, port, own, server, second):
    index, port = socket.if_nametoindex(interface), int(port)
    reports = Reports(interface)
    c, other = datagrams(interface), datagrams(interface)
    c.bind((own, 0))
    other.bind((second, 0))
    other.settimeout(0.3)
    link = datagrams(interface)
    query(interface)
    print("a query:", reports.wait(GROUP, "is ex"))
    query(interface)
    print("of one source:", reports.wait(SOURCE, "is in"))
    print("a group:", ask_one(c, b"group", (GROUP, port)))
    print("a large one:", ask_one(c, bytes(20000), (GROUP, port)))
    print("a group of the link:", ask_one(link, b"link", (LINK, port, 0, index)))
    print("wanted of us:", ask_one(c, b"wanted", (SOURCE, port)))
    print("not of others:", ask_one(other, b"not wanted", (SOURCE, port)))
    print("not joined:", ask_one(other, b"other", (OTHER, port)))
    print("leaving:", ask_one(c, b"leave", (server, port)), reports.wait(GROUP, "to in"))
    print("a group that was left:", ask_one(other, b"group", (GROUP, port)))
    print("the end:", ask_one(c, b"quit", (server, port)), reports.wait(LINK, "to in"))


def once(interface, port, own):
    c = datagrams(interface)
    c.bind((own, 0))
    print(ask_one(c, b"once", (GROUP, int(port))))


if __name__ == "__main__":
    {"serve": serve, "ask": ask, "once": once}[sys.argv[1]](*sys.argv[2:])
