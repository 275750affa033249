"""Processes that share a listener and a datagram socket, in blocking calls; or their client.
usage: prefork.py serve ADDRESS PORT N | prefork.py ask ADDRESS PORT COUNT    (prints how many answered)
SPDX-License-Identifier: MIT"""
import errno
import os
import socket
import sys
import threading


def accepts(listener):
    while True:
        try:
            conn, _ = listener.accept()
        except OSError as e:
            if e.errno not in (errno.ENETDOWN, errno.ECONNABORTED):
                raise
            continue  # accept(2): to be taken like EAGAIN
        with conn:
            conn.sendall(str(os.getpid()).encode())


def receives(sock):
    while True:
        try:
            _, peer = sock.recvfrom(100)
            sock.sendto(str(os.getpid()).encode(), peer)
        except OSError as e:
            print("datagrams:", e, flush=True)


def serve(addr, port, n):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((addr, port))
    listener.listen(64)
    dgram = socket.socket(type=socket.SOCK_DGRAM)
    dgram.bind((addr, port))
    for _ in range(n - 1):
        if os.fork() == 0:
            break
    threading.Thread(target=receives, args=(dgram,), daemon=True).start()
    accepts(listener)


def ask(addr, port, count):
    streams, datagrams = set(), set()
    for _ in range(count):
        with socket.create_connection((addr, port), timeout=3) as s:
            streams.add(s.recv(100))
        with socket.socket(type=socket.SOCK_DGRAM) as s:
            s.settimeout(3)
            s.sendto(b"?", (addr, port))
            datagrams.add(s.recv(100))
    print(len(streams), "by stream,", len(datagrams), "by datagram")


{"serve": serve, "ask": ask}[sys.argv[1]](sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
