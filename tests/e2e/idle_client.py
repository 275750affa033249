"""Opens connections to redis, leaves them idle, and times first requests after idle spells.
usage: idle_client.py HOST PORT CONNECTIONS FIFO (a line on the fifo ends the idle time).
SPDX-License-Identifier: MIT"""
import os
import socket
import statistics
import sys
import time


def ping(conn):
    start = time.perf_counter()
    conn.sendall(b"PING\r\n")
    answer = conn.recv(100)
    assert answer == b"+PONG\r\n", answer
    return (time.perf_counter() - start) * 1e6


def echo(conn):
    """The other process of a bare wake-up and back."""
    while data := conn.recv(1):
        conn.sendall(data)
    os._exit(0)


def bare(conn):
    start = time.perf_counter()
    conn.sendall(b"x")
    conn.recv(1)
    return (time.perf_counter() - start) * 1e6


ours, its = socket.socketpair()
if os.fork() == 0:
    ours.close()
    echo(its)
its.close()
conns = []
for _ in range(int(sys.argv[3])):
    conn = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10)
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ping(conn)
    conns.append(conn)
print("open")
with open(sys.argv[4]) as fifo:
    fifo.readline()
bares = [bare(ours)]
samples = [ping(conns[0])]
print(f"first {samples[0]:.0f} us after the long spell")
for conn in conns[1:8]:
    time.sleep(0.5)
    bares.append(bare(ours))
    samples.append(ping(conn))
print("others", " ".join(f"{s:.0f}" for s in samples[1:]))
for conn in conns:
    ping(conn)
print(f"median {statistics.median(samples):.0f} bare {statistics.median(bares):.0f}")
