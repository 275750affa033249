"""Waits in recv, epoll and accept on stack sockets until the engine dies, then tells what each saw.
usage: engine_watch.py PEER PORT.  SPDX-License-Identifier: MIT"""
import select
import socket
import sys
import threading
import time

peer = (sys.argv[1], int(sys.argv[2]))


def in_recv(conn):
    return conn.recv(1)


def in_epoll(conn):
    poll = select.epoll()
    poll.register(conn, select.EPOLLIN)
    events = poll.poll(30)
    return [hex(e) for _, e in events], conn.recv(1)


def in_accept(listener):
    return listener.accept()


def watch(name, call, sock):
    try:
        result = call(sock)
    except OSError as error:
        result = f"{type(error).__name__}: {error}"
    print(f"{name}: {result}\n", end="")  # one write: there are other threads


def listener():
    sock = socket.socket()
    sock.bind((PEER_SIDE, 7300))
    sock.listen()
    return sock


first = socket.create_connection(peer, timeout=10)
first.settimeout(None)
PEER_SIDE = first.getsockname()[0]
second = socket.create_connection(peer, timeout=10)
second.settimeout(None)
threads = [threading.Thread(target=watch, args=a, daemon=True) for a in (
    ("recv", in_recv, first), ("epoll", in_epoll, second), ("accept", in_accept, listener()))]
for thread in threads:
    thread.start()
time.sleep(0.5)
print("waiting")
for thread in threads:
    thread.join(10)
if any(thread.is_alive() for thread in threads):
    print("some never came back")
    sys.exit(1)
watch("send afterwards", lambda s: s.send(b"x"), first)
print("all back")
time.sleep(30)
