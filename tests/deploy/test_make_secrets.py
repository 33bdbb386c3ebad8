"""What ``deploy/make-secrets`` makes can be used, and by nobody else."""

import hashlib
import re
import shutil
import ssl
import stat

import pytest
import yaml
from tests.deploy.described import DEPLOY
from tests.deploy.shipped import make_secrets

from ringfence.secrets.keyring import Keyring


@pytest.fixture(scope="module")
def secrets(tmp_path_factory):
    return make_secrets(tmp_path_factory.mktemp("secrets"))


def test_it_makes_everything_that_compose_mounts(secrets):
    text = (DEPLOY / "compose.yaml").read_text()
    for name in re.findall(r"file: \./secrets/([\w.]+)", text):
        assert (secrets / name).stat().st_size
    made = {file.name for file in secrets.iterdir()}
    assert yaml.safe_load(text)["secrets"].keys() < made


def test_others_can_read_nothing(secrets):
    for file in secrets.iterdir():
        mode = stat.S_IMODE(file.stat().st_mode)
        assert not mode & 0o037
        assert file.name != "ca.key" or not mode & 0o077


def test_a_second_run_changes_nothing(secrets):
    before = {file.name: file.read_bytes() for file in secrets.iterdir()}
    make_secrets(secrets)
    assert {file.name: file.read_bytes() for file in secrets.iterdir()} == before


def test_two_installations_share_no_secret(secrets, tmp_path):
    other = make_secrets(tmp_path)
    for file in secrets.iterdir():
        assert (other / file.name).read_bytes() != file.read_bytes()


def test_the_guard_takes_the_keys(secrets, tmp_path):
    keys = tmp_path / "keys.json"
    shutil.copy(secrets / "keys.json", keys)
    keys.chmod(0o400)
    ring = Keyring(keys, create=False)
    ring.open()
    assert len(ring.derive("tests")) == 32


def test_valkey_is_given_the_hash_of_the_password_alone(secrets):
    password = (secrets / "valkey_password").read_bytes()
    users = (secrets / "users.acl").read_text()
    assert hashlib.sha256(password).hexdigest() in users
    assert password.decode() not in users
    assert len(password) == 64


@pytest.mark.parametrize("name", ["postgres", "valkey"])
def test_certificates_are_for_their_names_alone(secrets, name):
    """By Python's own judgement, strictly (RFC 5280)."""
    assert talks(secrets, name, name) is None
    assert "mismatch" in str(talks(secrets, name, "elsewhere"))
    assert "local issuer" in str(talks(secrets, name, name, trusted=False))


def talks(secrets, certificate, name, *, trusted=True):
    """Return why a handshake in memory fails, if it does."""
    client = ssl.create_default_context()
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    if trusted:
        client.load_verify_locations(secrets / "ca.crt")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(
        secrets / f"{certificate}.crt", secrets / f"{certificate}.key"
    )
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(back, there, server_hostname=name),
        server.wrap_bio(there, back, server_side=True),
    ]
    for _ in range(4):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                return error
    return None
