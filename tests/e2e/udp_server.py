"""Echoes datagrams: the server of udp.sh.  udp_server.py ADDRESS PORT GROUP; ends at "quit".
SPDX-License-Identifier: MIT"""
import socket
import sys

addr, port, group = sys.argv[1], int(sys.argv[2]), sys.argv[3]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
s.bind(("0.0.0.0", port))
s.settimeout(60)
membership = socket.inet_aton(group) + socket.inet_aton(addr)
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
print("ready", flush=True)
while True:
    data, peer = s.recvfrom(70000)
    if data == b"leave":
        s.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, membership)
    s.sendto(data, peer)
    if data == b"quit":
        break
