#!/usr/bin/env python3
"""Echo servers for the upgrade test: TCP by epoll, TCP by a blocking accept() loop with threads, UDP.

Usage: upgrade_server.py epoll|block|udp ADDRESS PORT"""
# SPDX-License-Identifier: MIT
import selectors
import socket
import sys
import threading


def family_of(addr):
    return socket.AF_INET6 if ":" in addr[0] else socket.AF_INET


def listener(addr):
    s = socket.socket(family_of(addr))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(addr)
    s.listen(512)
    return s


def by_epoll(addr):
    sel = selectors.EpollSelector()
    s = listener(addr)
    s.setblocking(False)
    sel.register(s, selectors.EVENT_READ)
    while True:
        for key, _ in sel.select():
            if key.fileobj is s:
                try:
                    c, _ = s.accept()
                except BlockingIOError:
                    continue
                sel.register(c, selectors.EVENT_READ)
                continue
            c = key.fileobj
            try:
                data = c.recv(65536)
                if data:
                    c.sendall(data)
            except OSError:
                data = b""
            if not data:
                sel.unregister(c)
                c.close()


def serve(c):
    with c:
        try:
            while data := c.recv(65536):
                c.sendall(data)
        except OSError:
            pass


def by_accept(addr):
    s = listener(addr)
    while True:
        c, _ = s.accept()
        threading.Thread(target=serve, args=(c,), daemon=True).start()


def by_udp(addr):
    s = socket.socket(family_of(addr), socket.SOCK_DGRAM)
    s.bind(addr)
    while True:
        data, peer = s.recvfrom(65536)
        s.sendto(data, peer)


{"epoll": by_epoll, "block": by_accept, "udp": by_udp}[sys.argv[1]]((sys.argv[2], int(sys.argv[3])))
