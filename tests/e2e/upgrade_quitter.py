"""Not an engine: says all that the next one says before it is told to serve, and does not listen to that.

    upgrade_quitter.py VERSION ... --takeover FD

The messages are those of stack/host/upgrade.h, as struct chan_msg.
"""
# SPDX-License-Identifier: MIT
import os
import signal
import socket
import struct
import sys

READY, OPEN, WORKERS = 100, 105, 1


def message(kind, size=0):
    return struct.pack("=IiIIQQII", kind, 0, int(sys.argv[1]), WORKERS, 0, size, 0, 0)


def main():
    old = socket.socket(fileno=int(sys.argv[sys.argv.index("--takeover") + 1]))
    old.send(message(READY, os.getpid()))
    for _ in ("TAKE", "BRIDGE"):
        old.recv(4096)
    old.shutdown(socket.SHUT_RD)
    bell = os.eventfd(0)
    socket.send_fds(old, [message(OPEN)], [bell])
    signal.pause()


if __name__ == "__main__":
    main()
