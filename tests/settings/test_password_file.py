import os

import pytest

from ringfence import Settings
from ringfence.errors import SettingsError
from ringfence.secrets.private_file import forbidden_bits

PASSWORD = "p@ss:w/rd#%2F?"
QUOTED = "p%40ss%3Aw%2Frd%23%252F%3F"
URL = "postgresql://shop@db:5432/shop?sslmode=verify-full"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n")
    path.chmod(0o600)
    return path


def load(**environ):
    names = {f"RINGFENCE_{name.upper()}": str(it) for name, it in environ.items()}
    return Settings.load(environ=names)


def test_the_password_of_the_file_becomes_part_of_the_url(file):
    """Quoted, so that no character of it ends the password early."""
    settings = load(database=URL, database_password_file=file)
    with_it = f"postgresql://shop:{QUOTED}@db:5432/shop?sslmode=verify-full"
    assert settings.database == with_it


@pytest.mark.parametrize(
    ("url", "becomes"),
    [
        ("rediss://shop@valkey:6379/0", f"rediss://shop:{QUOTED}@valkey:6379/0"),
        ("rediss://valkey", f"rediss://:{QUOTED}@valkey"),
        (
            "redis+cluster://shop@one:6379,two:6379?ssl=true",
            f"redis+cluster://shop:{QUOTED}@one:6379,two:6379?ssl=true",
        ),
    ],
)
def test_stores_take_one_as_well(file, url, becomes):
    assert load(store=url, store_password_file=file).store == becomes


def test_the_password_is_not_shown(file):
    shown = repr(load(database=URL, database_password_file=file))
    assert PASSWORD not in shown
    assert QUOTED not in shown


def test_two_different_passwords_stop_the_start(file):
    url = URL.replace("shop@", "shop:other@")
    with pytest.raises(SettingsError, match="take the password out") as refused:
        load(database=url, database_password_file=file)
    assert "other@" not in str(refused.value)
    load(database=URL.replace("shop@", f"shop:{QUOTED}@"), database_password_file=file)


def test_a_file_that_others_can_read_stops_the_start(file):
    file.chmod(0o644)
    with pytest.raises(SettingsError, match=r"database password file.*chmod 600"):
        load(database=URL, database_password_file=file)


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines\n", b"\xff", b"a" * 1025])
def test_a_file_without_a_password_stops_the_start(file, content):
    file.write_bytes(content)
    with pytest.raises(SettingsError, match="holds no password") as refused:
        load(database=URL, database_password_file=file)
    assert "lines" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"no store password file at .*missing"):
        load(store="rediss://valkey", store_password_file=tmp_path / "missing")


@pytest.mark.parametrize("url", ["sqlite:///var/shop.db", ""])
def test_a_database_without_a_server_takes_none(file, url):
    with pytest.raises(SettingsError, match="no server"):
        load(database=url, database_password_file=file)


@pytest.mark.parametrize(
    ("owner", "group", "user", "refused"),
    [
        (0, 10001, 10001, 0o037),  # as Kubernetes hands it to a group (fsGroup)
        (0, 10002, 10001, 0o077),  # another group's
        (10001, 10001, 10001, 0o077),  # who owns it needs no group
        (0, 0, 0, 0o077),  # neither does root
    ],
)
def test_only_a_file_of_root_may_be_read_by_our_group(owner, group, user, refused):
    found = os.stat_result((0o100440, 0, 0, 1, owner, group, 0, 0, 0, 0))
    assert forbidden_bits(found, user=user, groups={10001, user}) == refused
