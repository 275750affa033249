"""Connects to redis many times, then counts the connections that end in a reset.
usage: peer_watch.py HOST PORT CONNECTIONS.  SPDX-License-Identifier: MIT"""
import select
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
poll = select.poll()
by_fd = {}
for conn in conns:
    poll.register(conn, select.POLLIN)
    by_fd[conn.fileno()] = conn
reset = 0
end = time.monotonic() + 10
while by_fd and time.monotonic() < end:
    for fd, _ in poll.poll(200):
        try:
            if by_fd[fd].recv(100) == b"":    # a FIN first, as Linux closes: then data draws RST
                by_fd[fd].send(b"x")
                time.sleep(0.005)
                by_fd[fd].send(b"x")
        except (ConnectionResetError, BrokenPipeError):
            reset += 1
        poll.unregister(fd)
        del by_fd[fd]
print(f"reset {reset}")
time.sleep(10)
