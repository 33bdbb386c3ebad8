"""A server of public keys, as issuers run one, that can break and be slow."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class KeyServer:
    """What it answers, and how often it was asked.

    Args:
        url: where it is.
    """

    def __init__(self, url):
        self.url = url
        self.asked = 0
        self.status = 200
        self.content = b'{"keys":[]}'
        self.headers = {}

    def publish(self, *keys):
        self.content = json.dumps({"keys": keys}).encode()


@contextmanager
def key_server():
    """Serve keys on loopback until the block ends."""
    served = None

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            served.asked += 1
            self.send_response(served.status)
            for name, value in served.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(served.content)))
            self.end_headers()
            self.wfile.write(served.content)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = KeyServer(f"http://127.0.0.1:{server.server_port}/keys")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
