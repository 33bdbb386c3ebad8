import base64
import json
import os
import secrets
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ringfence.errors import SettingsError
from ringfence.secrets.keyring import Keyring
from ringfence.secrets.keys_file import Key, create_keys_file

PURPOSE = "browser.csrf"


def encode(material):
    return base64.urlsafe_b64encode(material).decode()


def key(name="a", created=1, material=None):
    text = encode(secrets.token_bytes(32) if material is None else material)
    return {"id": name, "created": created, "key": text}


def write(path, *keys, version=1, mode=0o600):
    path.write_text(json.dumps({"version": version, "keys": keys}))
    path.chmod(mode)
    return path


def opened(path, *, create=False):
    ring = Keyring(path, create=create)
    ring.open()
    return ring


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_it_makes_its_file_for_this_user_only(tmp_path):
    path = tmp_path / "var" / "keys.json"
    opened(path, create=True)
    assert mode_of(path) == 0o600
    assert mode_of(path.parent) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["keys.json"]


def test_a_wide_umask_changes_nothing(tmp_path):
    before = os.umask(0)
    try:
        opened(tmp_path / "keys.json", create=True)
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "keys.json") == 0o600


def test_the_next_start_finds_the_same_keys(tmp_path):
    path = tmp_path / "keys.json"
    assert opened(path, create=True).derive(PURPOSE) == opened(path).derive(PURPOSE)


def test_starting_at_the_same_time_gives_the_same_keys(tmp_path):
    """Of many processes one wins, and none ever reads half a file."""
    path = tmp_path / "keys.json"

    def start(_):
        return opened(path, create=True).derive(PURPOSE)

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(start, range(64)))) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["keys.json"]


def test_without_create_a_missing_file_stops_the_start(tmp_path):
    with pytest.raises(SettingsError, match="ringfence keys create"):
        opened(tmp_path / "keys.json")
    assert not (tmp_path / "keys.json").exists()


def test_a_derived_key_is_hkdf_of_the_purpose(tmp_path):
    """RFC 5869, so that another program could derive the same."""
    material = secrets.token_bytes(32)
    ring = opened(write(tmp_path / "keys.json", key(material=material)))
    expected = HKDF(
        algorithm=SHA256(), length=32, salt=b"ringfence.keyring.1", info=b"browser.csrf"
    ).derive(material)
    assert ring.derive(PURPOSE) == expected


def test_each_purpose_has_its_own_key(tmp_path):
    ring = opened(tmp_path / "keys.json", create=True)
    purposes = ("browser.csrf", "browser.csrf ", "identity.identifier", "x")
    derived = {ring.derive(purpose) for purpose in purposes}
    assert len(derived) == len(purposes)
    assert all(len(found) == 32 for found in derived)


def test_the_newest_key_signs_and_the_older_ones_verify(tmp_path):
    """Rotation keeps what was signed before it valid."""
    old, new = key("old", created=1), key("new", created=2)
    before = opened(write(tmp_path / "before", old)).derive(PURPOSE)
    after = opened(write(tmp_path / "after", new, old))
    assert after.derive_all(PURPOSE) == (after.derive(PURPOSE), before)
    assert after.derive(PURPOSE) != before


def test_keys_made_in_the_same_second_sign_in_the_order_of_the_file(tmp_path):
    first, second = key("1", created=5), key("2", created=5)
    alone = opened(write(tmp_path / "alone", second)).derive(PURPOSE)
    both = opened(write(tmp_path / "both", first, second))
    assert both.derive(PURPOSE) == alone


def test_keys_are_not_there_before_it_is_open(tmp_path):
    with pytest.raises(SettingsError, match="before they were opened"):
        Keyring(tmp_path / "keys.json", create=True).derive(PURPOSE)


def test_a_purpose_is_needed(tmp_path):
    with pytest.raises(ValueError, match="purpose"):
        opened(tmp_path / "keys.json", create=True).derive("")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o644, 0o666, 0o610])
def test_a_file_that_others_can_reach_is_refused(tmp_path, mode):
    path = write(tmp_path / "keys.json", key(), mode=mode)
    with pytest.raises(SettingsError, match="chmod 600"):
        opened(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_refused(tmp_path):
    path = write(tmp_path / "keys.json", key())
    os.chown(path, 12345, 12345)
    with pytest.raises(SettingsError, match="another user"):
        opened(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give links away")
def test_a_link_that_another_user_planted_is_refused(tmp_path):
    real = write(tmp_path / "real.json", key())
    link = tmp_path / "keys.json"
    link.symlink_to(real)
    opened(link)
    os.chown(link, 12345, 12345, follow_symlinks=False)
    with pytest.raises(SettingsError, match="a link made by another user"):
        opened(link)


def test_a_dangling_link_is_not_followed_to_make_a_file(tmp_path):
    link = tmp_path / "keys.json"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match="no keys file"):
        opened(link, create=True)
    assert not (tmp_path / "elsewhere").exists()


def test_a_pipe_does_not_hang_the_start(tmp_path):
    os.mkfifo(tmp_path / "keys.json", 0o600)
    with pytest.raises(SettingsError, match="no regular file"):
        opened(tmp_path / "keys.json")


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"cannot be read|no regular file"):
        opened(tmp_path)


WEAK = {
    "zeros": bytes(32),
    "one byte": b"\xaa" * 32,
    "two bytes": b"\xaa\x55" * 16,
    "a short pattern": bytes(range(1, 12)) * 3,
    "counting": bytes(range(200, 232)),
    "counting down": bytes(range(232, 200, -1)),
    "counting in sevens": bytes((7 * n) % 256 for n in range(32)),
    "a passphrase": b"correct horse battery staple 123",
    "hexadecimal": secrets.token_hex(16).encode(),
    "too short": secrets.token_bytes(16),
    "too long": secrets.token_bytes(64),
    "empty": b"",
}


@pytest.mark.parametrize(
    "material",
    [m[:32] if n == "a short pattern" else m for n, m in WEAK.items()],
    ids=WEAK,
)
def test_a_weak_key_is_refused(tmp_path, material):
    """Keys from a tutorial, a keyboard or a counter can be guessed (CWE-321)."""
    with pytest.raises(SettingsError, match=r"weak|bytes instead of 32"):
        opened(write(tmp_path / "keys.json", key("mine", material=material)))


def test_random_keys_are_never_taken_for_weak_ones(tmp_path):
    for number in range(300):
        path = write(tmp_path / str(number), key())
        opened(path)


same = key("x")
BROKEN = {
    "nothing": "",
    "no JSON": "hello",
    "a list": "[]",
    "another version": json.dumps({"version": 2, "keys": [key()]}),
    "no keys": json.dumps({"version": 1, "keys": []}),
    "an unknown field": json.dumps({"version": 1, "keys": [key()], "more": 1}),
    "a missing field": json.dumps({"version": 1, "keys": [{"id": "a", "created": 1}]}),
    "an id that is no text": json.dumps({"version": 1, "keys": [key(5)]}),
    "a negative time": json.dumps({"version": 1, "keys": [key(created=-1)]}),
    "an id twice": json.dumps({"version": 1, "keys": [key("x"), key("x")]}),
    "a key twice": json.dumps({"version": 1, "keys": [same, same | {"id": "y"}]}),
    "no base64": json.dumps({"version": 1, "keys": [same | {"key": "%%%"}]}),
    "depth": "[" * 60_000,
    "half a file": json.dumps({"version": 1, "keys": [key()]})[:60],
    "too large": " " * 70_000 + json.dumps({"version": 1, "keys": [key()]}),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_stops_the_start_and_is_not_quoted(tmp_path, content):
    path = tmp_path / "keys.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(SettingsError, match="cannot be used") as caught:
        opened(path)
    assert same["key"] not in str(caught.value)
    assert caught.value.__cause__ is None


def test_no_key_is_shown_by_a_keyring_or_its_errors(tmp_path):
    material = encode(secrets.token_bytes(31))
    path = write(tmp_path / "keys.json", {"id": "a", "created": 1, "key": material})
    with pytest.raises(SettingsError) as caught:
        opened(path)
    assert material not in str(caught.value)
    assert material not in repr(Keyring(path, create=False))


def test_the_command_makes_a_file_once(tmp_path):
    path = tmp_path / "keys.json"
    create_keys_file(path)
    made = path.read_bytes()
    with pytest.raises(SettingsError, match="exists already"):
        create_keys_file(path)
    assert path.read_bytes() == made
    opened(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_cannot_be_written_is_told(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(SettingsError, match="cannot be made"):
        create_keys_file(tmp_path / "keys.json")


def test_a_parent_that_is_a_file_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be made"):
        create_keys_file(tmp_path / "file" / "keys.json")


def test_a_single_key_shows_its_name_only():
    material = encode(secrets.token_bytes(32))
    assert repr(Key(id="a", created=1, key=material)) == "Key('a')"


def test_where_files_have_no_owner_nobody_is_refused_for_it(tmp_path, monkeypatch):
    """Windows tells neither owner nor mode: neither is asked for."""
    path = write(tmp_path / "real.json", key(), mode=0o644)
    link = tmp_path / "keys.json"
    link.symlink_to(path)
    monkeypatch.setattr("ringfence.secrets.private_file.sys.platform", "win32")
    opened(link)
