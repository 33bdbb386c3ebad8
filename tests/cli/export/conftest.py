"""The real nginx, in front of a backend that tells what has reached it."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.attacks import serving

_MISSING = (
    "nginx is needed for the tests of exported rules; install it, on Debian with: "
    "apt-get install nginx"
)
_FRAME = """\
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/rules.conf;
}}
"""


@pytest.fixture(scope="session")
def nginx():
    """The path of nginx. Without it the test is skipped, loudly; in CI it fails."""
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(_MISSING)
        pytest.skip(_MISSING)
    return found


class _Tells(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        length = int(self.headers.get("content-length", 0))
        self.rfile.read(length)
        told = {
            "method": self.command,
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
        }
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - as http.server names them

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def upstream():
    """The address of a backend that answers with what it was asked."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Tells)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class Gateway:
    """A running nginx."""

    def __init__(self, port):
        self.port = port

    def ask(self, method, path, *, host="shop.example", body=None, **headers):
        """Ask, and return the status and what the backend has told."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            named = {name.replace("_", "-"): text for name, text in headers.items()}
            connection.request(method, path, body, {"Host": host, **named})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(text) if answer.status == 200 else None


@pytest.fixture
def gateway(nginx, tmp_path):
    """Return a function that starts nginx with rules; it is ended afterwards."""
    started = []

    def start(rules, port):
        folder = tmp_path / "nginx"
        folder.mkdir()
        folder.chmod(0o755)
        (folder / "rules.conf").write_text(rules)
        config = folder / "nginx.conf"
        config.write_text(_FRAME.format(folder=folder))
        tested = subprocess.run(
            [nginx, "-t", "-c", str(config), "-p", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert tested.returncode == 0, tested.stderr
        process = subprocess.Popen([nginx, "-c", str(config), "-p", str(folder)])
        started.append(process)
        _await(port, process)
        return Gateway(port)

    yield start
    for process in started:
        process.terminate()
        process.wait(10)


def _await(port, process):
    """Wait until the port answers: each try waits for the kernel, not for a clock."""
    for _ in range(2_000):
        assert process.poll() is None, "nginx has ended"
        with socket.socket() as tried:
            tried.settimeout(0.05)
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        threading.Event().wait(0.005)
    raise AssertionError("nginx did not begin to listen")


@pytest.fixture
def free_port():
    return serving.free_port()
