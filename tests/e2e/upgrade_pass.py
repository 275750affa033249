#!/usr/bin/env python3
"""A connection that lies in a queue between two programs while another engine takes over.

Usage: upgrade_pass.py give ADDRESS PORT UNIX_SOCKET   accepts one connection and passes it on
       upgrade_pass.py take UNIX_SOCKET FILE           takes it when FILE is there, and echoes"""
# SPDX-License-Identifier: MIT
import os
import socket
import sys
import time

if sys.argv[1] == "give":
    s = socket.socket(socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((sys.argv[2], int(sys.argv[3])))
    s.listen()
    c, _ = s.accept()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as u:
        u.connect(sys.argv[4])
        socket.send_fds(u, [b"x"], [c.fileno()])
    c.close()
    s.close()
    print("given", flush=True)
    time.sleep(60)
else:
    u = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    u.bind(sys.argv[2])
    while not os.path.exists(sys.argv[3]):
        time.sleep(0.02)
    _, fds, _, _ = socket.recv_fds(u, 1, 1)
    c = socket.socket(fileno=fds[0])
    print(c.getsockname()[:2], flush=True)
    while data := c.recv(65536):
        c.sendall(data)
