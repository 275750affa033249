"""Sets and gets values of many sizes over many connections at once and compares every byte.
usage: memcached_client.py HOST PORT CONNECTIONS ROUNDS.  SPDX-License-Identifier: MIT"""
import random
import socket
import sys
import threading

SIZES = (1, 13, 1000, 1448, 4096, 65537, 500_000)
failures = []


def connection(number, rounds):
    rng = random.Random(number)
    conn = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20)
    lines = conn.makefile("rb")
    for i in range(rounds):
        value = rng.randbytes(SIZES[(number + i) % len(SIZES)])
        key = b"k%d-%d" % (number, i % 7)
        conn.sendall(b"set %s 0 0 %d\r\n" % (key, len(value)) + value + b"\r\n")
        answer = lines.readline()
        if answer != b"STORED\r\n":
            raise AssertionError(f"set of {len(value)} bytes: {answer!r}")
        conn.sendall(b"get %s\r\n" % key)
        head = lines.readline()
        if head != b"VALUE %s 0 %d\r\n" % (key, len(value)):
            raise AssertionError(f"get: {head!r}")
        if lines.read(len(value) + 2) != value + b"\r\n":
            raise AssertionError(f"get of {len(value)} bytes: other bytes came back")
        if lines.readline() != b"END\r\n":
            raise AssertionError("no END")
    conn.close()


def guarded(number, rounds):
    try:
        connection(number, rounds)
    except Exception as error:  # told by the main thread
        failures.append(f"connection {number}: {error!r}")


threads = [threading.Thread(target=guarded, args=(n, int(sys.argv[4])))
           for n in range(int(sys.argv[3]))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for failure in failures:
    print(failure, file=sys.stderr)
sys.exit(bool(failures))
