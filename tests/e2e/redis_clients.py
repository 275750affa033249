#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Many connected clients of a redis server, which all have to live.

  redis_clients.py HOST PORT COUNT   connects, writes "ready"; for each line it reads it sends a PING over
                                     every connection and writes how many were answered; ends with its input
"""

import resource
import socket
import struct
import sys

AT_ONCE = 500  # below the server's backlog


def connection(address):
    sock = socket.create_connection(address, timeout=30)
    # ends by a reset: no port is left in TIME-WAIT for the next ten thousand
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return sock


def connect(address, count):
    done = []
    while len(done) < count:
        some = [connection(address) for _ in range(min(AT_ONCE, count - len(done)))]
        answered = ping(some)
        if answered != len(some):
            sys.exit(f"{answered} of {len(some)} new connections answered")
        done += some
    return done


def answer(sock):
    got = b""
    while len(got) < 7:
        data = sock.recv(7 - len(got))
        if not data:
            break
        got += data
    return got == b"+PONG\r\n"


def ping(socks):
    asked = []
    for sock in socks:
        try:
            sock.sendall(b"PING\r\n")
            asked.append(sock)
        except OSError as e:
            print(f"send: {e}", file=sys.stderr)
    good = 0
    for sock in asked:
        try:
            good += answer(sock)
        except OSError as e:
            print(f"receive: {e}", file=sys.stderr)
    return good


def main():
    host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 100), hard))
    socks = connect((host, port), count)
    print("ready", flush=True)
    for _ in sys.stdin:
        print(ping(socks), flush=True)


if __name__ == "__main__":
    main()
