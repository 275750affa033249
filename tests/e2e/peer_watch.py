"""Connects to redis many times, then counts the connections that end in a reset.
usage: peer_watch.py HOST PORT CONNECTIONS.  SPDX-License-Identifier: MIT"""
import socket
import sys
import time

conns = []
for _ in range(int(sys.argv[3])):
    conn = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10)
    conn.sendall(b"PING\r\n")
    assert conn.recv(100) == b"+PONG\r\n"
    conn.sendall(b"GET unread-by-the-peer")   # the server dies with bytes of every peer
    conns.append(conn)
print("connected")
reset = 0
end = time.monotonic() + 10
while conns and time.monotonic() < end:
    alive = []
    for conn in conns:
        try:
            if conn.recv(100, socket.MSG_DONTWAIT) == b"":
                conn.send(b"x")    # a FIN came first, as Linux closes: what follows draws a RST
            alive.append(conn)
        except BlockingIOError:
            alive.append(conn)
        except (ConnectionResetError, BrokenPipeError):
            reset += 1
    conns = alive
    time.sleep(0.005)
print(f"reset {reset}")
time.sleep(10)
