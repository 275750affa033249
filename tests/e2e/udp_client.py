"""Sends to udp_server.py from another host and says what came back.
udp_client.py OWN-ADDRESS ADDRESS PORT GROUP
SPDX-License-Identifier: MIT"""
import select
import socket
import struct
import sys

own, addr, port, group = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
RECORDS = {1: "is in", 2: "is ex", 3: "to in", 4: "to ex", 5: "allow", 6: "block"}


def client():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(10)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    return s


def ask(s, data, to):
    """The answer's payload and sender, as text."""
    s.sendto(data, to)
    try:
        got, peer = s.recvfrom(70000)
    except OSError as error:
        return type(error).__name__
    return "%s from %s:%d" % ("the same" if got == data else "%d bytes" % len(got), *peer)


def reports(raw, seconds, wanted):
    """Waits for an IGMPv3 record of our group of the wanted type."""
    while select.select([raw], [], [], seconds)[0]:
        p = raw.recv(2000)
        p = p[(p[0] & 15) * 4:]
        for i in range(struct.unpack("!H", p[6:8])[0] if p[0] == 0x22 else 0):
            kind, _, n, g = struct.unpack("!BBH4s", p[8 + 8 * i:16 + 8 * i])
            if n == 0 and socket.inet_ntoa(g) == group and RECORDS[kind] == wanted:
                return "told"
    return "not told"


def query():
    """A general query, to be answered within a second (RFC 3376 4.1)."""
    p = struct.pack("!BBHIBBH", 0x11, 10, 0, 0, 2, 125, 0)
    total = sum(struct.unpack("!6H", p))
    total = (total & 0xffff) + (total >> 16)
    p = p[:2] + struct.pack("!H", ~total & 0xffff) + p[4:]
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 2)
    raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
    raw.sendto(p, ("224.0.0.1", 0))


igmp = socket.socket(socket.AF_INET, socket.SOCK_RAW, 2)
igmp.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                socket.inet_aton("224.0.0.22") + socket.inet_aton(own))
c = client()
for n in (0, 1, 100, 1472, 1473, 5000, 30000, 65507):
    print(n, "bytes:", ask(c, bytes(i * 7 & 255 for i in range(n)), (addr, port)))
query()
print("a query:", reports(igmp, 10, "is ex"))
print("a group:", ask(c, b"group", (group, port)))
print("a large one:", ask(c, bytes(20000), (group, port)))
print("broadcast:", ask(c, b"all", (addr[:addr.rindex(".")] + ".255", port)))
print("leaving:", ask(c, b"leave", (addr, port)), reports(igmp, 10, "to in"))
c.settimeout(0.3)
print("a group that was left:", ask(c, b"group", (group, port)))
c.settimeout(10)
d = client()
d.connect((addr, port + 1))
d.send(b"nobody")
try:
    d.recv(10)
except OSError as error:
    print("a port without a socket:", type(error).__name__)
print("the end:", ask(c, b"quit", (addr, port)))
