"""The example shop with the settings of the compose file, in front of the stores that
are described there: what was made and what was restricted fits together."""

import http.client
import json
import shutil
import ssl
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from tests.attacks.serving import RINGFENCE, ROOT, free_port, running
from tests.deploy.described import DEPLOY, compose
from tests.deploy.roles import as_role, run_roles
from tests.deploy.shipped import make_secrets, running_shipped_valkey
from tests.servers.proxy import running_proxy

ANN = {"email": "ann@example.com", "password": "a long and unusual pass phrase"}
CLIENT = "203.0.113.5"


@pytest.fixture(scope="module")
def secrets(tmp_path_factory):
    """What make-secrets makes; Valkey's certificate is for this machine as well."""
    folder = make_secrets(tmp_path_factory.mktemp("secrets"), NAMES="localhost")
    for file in folder.iterdir():
        file.chmod(0o400)  # for a test that is root, which has no group to be given
    return folder


@pytest.fixture(scope="module")
def valkey_port(secrets, tmp_path_factory):
    """A Valkey behind TLS."""
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.load_cert_chain(secrets / "proxy.crt", secrets / "proxy.key")
    users = (secrets / "users.acl").read_text()
    with (
        running_shipped_valkey(tmp_path_factory.mktemp("valkey"), users) as server,
        running_proxy(server.port, tls=shown) as proxy,
    ):
        yield proxy.port


def environment(service, secrets, database, valkey_port):
    """Return the variables of a service, its hosts and paths moved."""
    moved = {
        "@postgres:5432/ringfence?sslmode=verify-full": f"@/{database.name}?"
        f"host={database.folder}&port={database.port}&sslmode=prefer",
        "@valkey:6379": f"@localhost:{valkey_port}",
        "/run/secrets": str(secrets),
    }
    found = dict(compose()["services"][service]["environment"])
    for name, value in found.items():
        for old, new in moved.items():
            value = value.replace(old, new)  # noqa: PLW2901 - step by step
        found[name] = value
    return found


@pytest.fixture(scope="module")
def shop(postgres_server, valkey_port, secrets, tmp_path_factory):
    """The shop as compose starts it: roles, tables, two workers, in production."""
    folder = tmp_path_factory.mktemp("shop")
    with postgres_server.database() as database:
        done = run_roles(database, folder)
        assert done.returncode == 0, done.stderr
        keys = folder / "keys.json"
        shutil.copy(secrets / "keys.json", keys)
        places = (secrets, as_role(database, ""), valkey_port)
        inherited = {"PATH": f"{sys.prefix}/bin:/usr/bin:/bin"}
        migrated = subprocess.run(
            [*RINGFENCE, *compose()["services"]["migrate"]["command"]],
            env=inherited | environment("migrate", *places),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert migrated.returncode == 0, migrated.stderr
        port = free_port()
        command = compose()["services"]["app"]["command"]
        command = [it.replace("0.0.0.0", "127.0.0.1") for it in command]
        command[command.index("8000")] = str(port)
        own = {
            "RINGFENCE_DATA": str(folder / "data"),
            "RINGFENCE_PROXIES": "127.0.0.1",  # the test stands where nginx does
            "RINGFENCE_IDENTITY_PASSWORD_HASH_MS": "0",  # measures nothing
            "PYTHONPATH": str(ROOT),
        }
        env = inherited | environment("app", *places) | own
        log = folder / "log"
        with running([*RINGFENCE, *command], env=env, log=log) as process:
            told = process.stdout.readline()  # said when all workers listen
            assert told.startswith("Listening on"), log.read_text()
            yield port, env, log


def ask(shop, method, path, body=None, *, cookies="", token=""):
    connection = http.client.HTTPConnection("127.0.0.1", shop[0], timeout=30)
    try:
        headers = {
            "Host": "shop.localhost",
            "X-Forwarded-For": CLIENT,
            "X-Forwarded-Proto": "https",
            "Accept": "application/json",
            "Content-Type": "application/json",
        }
        if cookies:
            headers |= {"Cookie": cookies, "X-CSRF-Token": token}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        lines = answer.headers.get_all("Set-Cookie") or []
        kept = "; ".join(line.partition(";")[0] for line in lines)
        return answer.status, json.loads(answer.read() or b"null"), kept
    finally:
        connection.close()


def test_it_is_healthy_by_its_own_check(shop):
    port, env, _ = shop
    done = subprocess.run(
        [sys.executable, DEPLOY / "healthy.py"],
        env=env | {"PORT": str(port)},
        check=False,
        timeout=30,
    )
    assert done.returncode == 0


def test_somebody_signs_up_and_in_and_out(shop):
    """Through both workers, with the rights that they have and no others."""
    assert ask(shop, "POST", "/auth/register", ANN)[0] == 202
    status, told, cookies = ask(shop, "POST", "/auth/login", ANN)
    assert status == 200
    for _ in range(6):
        assert ask(shop, "GET", "/auth/me", cookies=cookies)[1]["id"] == told["id"]
    token = told["csrf_token"]
    assert ask(shop, "POST", "/auth/logout", {}, cookies=cookies, token=token)[0] < 300
    for _ in range(6):
        assert ask(shop, "GET", "/auth/me", cookies=cookies)[0] == 401


def test_the_ledger_knows_the_client_and_not_the_proxy(shop):
    text = (shop[2].parent / "data" / "audit.jsonl").read_text()
    events = [json.loads(line) for line in text.splitlines()]
    clients = {it["client"] for it in events if it.get("client")}
    assert clients == {CLIENT}


def test_no_password_is_logged(shop, secrets):
    text = shop[2].read_text()
    for file in secrets.iterdir():
        if file.name.endswith("_password"):
            assert file.read_text() not in text
    assert urlsplit(shop[1]["RINGFENCE_STORE"]).password is None
