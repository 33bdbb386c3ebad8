"""``nginx.conf``, carried out by the real nginx: who the client is, and no tunnel."""

import http.client
import json
import os
import shutil
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.attacks.serving import free_port
from tests.deploy.described import DEPLOY, compose
from tests.deploy.shipped import make_secrets

TEXT = (DEPLOY / "nginx" / "nginx.conf").read_text()
MISSING = "nginx is needed; install it, on Debian with: apt-get install nginx"


class Tells(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        told = [(name.lower(), value) for name, value in self.headers.items()]
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - as http.server names it

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def upstream():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Tells)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def proxy(upstream, tmp_path_factory):
    """The shipped nginx, in a folder of its own; return its port and who signed."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    folder = tmp_path_factory.mktemp("nginx")
    folder.chmod(0o755)
    secrets = folder / "secrets"
    make_secrets(secrets, NAMES="localhost")
    port = free_port()
    conf = folder / "nginx.conf"
    conf.write_text(placed(folder, port, upstream))
    # Its folders are closed to whom root would hand the work.
    user = "user root;" if os.geteuid() == 0 else ""
    process = subprocess.Popen(
        [program, "-c", conf, "-p", folder, "-g", f"daemon off; {user}"],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        trust = ssl.create_default_context(cafile=secrets / "ca.crt")
        await_answer(process, port, trust)
        yield port, trust
    finally:
        process.terminate()
        process.communicate(timeout=30)


def placed(folder, port, upstream):
    """Return the file with its paths and ports moved, and nothing else changed but
    ``http2 on``, for which Debian's nginx is too old."""
    text = TEXT.replace("/tmp/", f"{folder}/")
    text = text.replace("/run/secrets/", f"{folder}/secrets/")
    text = text.replace("server app:8000", f"server 127.0.0.1:{upstream}")
    text = text.replace("listen 8443 ssl", f"listen 127.0.0.1:{port} ssl")
    text = text.replace("listen [::]:8443 ssl;\n", "").replace("http2 on;\n", "")
    return text.replace("worker_processes auto", "worker_processes 1")


def await_answer(process, port, trust):
    for _ in range(600):
        try:
            ask((port, trust), "GET", "/")
        except ConnectionError:
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            raise RuntimeError(process.stderr.read()) from None
        else:
            return
    raise RuntimeError("nginx has not started")


def ask(proxy, method, path, body=None, headers=()):
    """Return the status, and the header lines that have reached the backend."""
    port, trust = proxy
    connection = http.client.HTTPSConnection("localhost", port, context=trust)
    connection.timeout = 10
    try:
        connection.putrequest(method, path, skip_host=True)
        for name, value in [("Host", "shop.example"), *headers]:
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    return answer.status, json.loads(text) if answer.status == 200 else None


def test_a_client_cannot_say_who_it_is(proxy):
    """What it claims is replaced; twice, or in another header, makes no difference
    (CWE-290, CWE-348)."""
    lies = [
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Real-IP", "203.0.113.9"),
        ("Forwarded", "for=203.0.113.9"),
    ]
    _, told = ask(proxy, "GET", "/", headers=lies)
    told = [pair for pair in told if pair[0].startswith(("x-", "forw"))]
    assert sorted(told) == [
        ["x-forwarded-for", "127.0.0.1"],
        ["x-forwarded-proto", "https"],
    ]


def test_the_name_that_was_asked_for_is_passed_on(proxy):
    _, told = ask(proxy, "GET", "/")
    assert ["host", "shop.example"] in told


@pytest.mark.parametrize("protocol", ["h2c", "TLS/1.0", "websocket, h2c"])
def test_no_tunnel_is_opened(proxy, protocol):
    """A connection that has become another protocol would pass all rules by."""
    lines = [("Upgrade", protocol), ("Connection", "Upgrade, HTTP2-Settings")]
    _, told = ask(proxy, "GET", "/", headers=lines)
    assert not {"upgrade", "http2-settings"} & {name for name, _ in told}
    assert "Upgrade" not in dict(told).get("connection", "")


def test_a_websocket_may_open(proxy):
    lines = [("Upgrade", "websocket"), ("Connection", "Upgrade")]
    _, told = ask(proxy, "GET", "/", headers=lines)
    assert {"upgrade": "websocket", "connection": "upgrade"}.items() <= dict(
        told
    ).items()


def test_a_body_that_is_too_large_ends_here(proxy):
    assert ask(proxy, "POST", "/", b"x" * 2**20)[0] == 200
    assert ask(proxy, "POST", "/", b"x" * (2**20 + 1))[0] == 413


def test_nobody_is_served_without_tls(proxy):
    connection = http.client.HTTPConnection("127.0.0.1", proxy[0], timeout=10)
    connection.request("GET", "/")
    assert connection.getresponse().status == 400
    connection.close()
    assert TEXT.count("listen ") == TEXT.count(":8443 ssl;") + TEXT.count(" 8443 ssl;")


def test_its_files_are_those_that_compose_mounts():
    service = compose()["services"]["proxy"]
    for secret in service["secrets"]:
        assert f"/run/secrets/{secret};" in TEXT
    assert any(it["target"] == "/etc/nginx/nginx.conf" for it in service["volumes"])
    (port,) = service["ports"]
    assert port.endswith(":8443")
    assert "server app:8000 " in TEXT
