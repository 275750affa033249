"""An HTTP/1.1 server for tests: GET files of a folder, PUT answers the body's sha256.
usage: http_peer.py PORT FOLDER [ADDRESS]     at :: it hears both families
SPDX-License-Identifier: MIT"""
import functools
import hashlib
import http.server
import socket
import sys


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        left = int(self.headers["Content-Length"])
        digest = hashlib.sha256()
        while left:
            part = self.rfile.read(min(left, 1 << 16))
            if not part:
                return
            digest.update(part)
            left -= len(part)
        body = digest.hexdigest().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    def __init__(self, address, *args):
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, *args)

    def server_bind(self):
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


Server(
    (sys.argv[3] if len(sys.argv) > 3 else "", int(sys.argv[1])),
    functools.partial(Handler, directory=sys.argv[2])).serve_forever()
