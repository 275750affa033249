"""Opens connections, each with a byte there and back, keeps them, and asks all of them once more.
usage: many_client.py HOST PORT CONNECTIONS FIFO (a line on the fifo ends the silence).
SPDX-License-Identifier: MIT"""
import socket
import sys


def echoed(conns, byte):
    for conn in conns:
        conn.sendall(byte)
    return sum(conn.recv(2) == byte for conn in conns)


conns = []
for _ in range(int(sys.argv[3])):
    conn = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=60)
    conns.append(conn)
    if echoed([conn], b"a") != 1:
        sys.exit("no echo")
print("open", flush=True)
with open(sys.argv[4]) as fifo:
    fifo.readline()
print("again", echoed(conns, b"b"), flush=True)
for conn in conns:
    conn.close()
print("closed", flush=True)
