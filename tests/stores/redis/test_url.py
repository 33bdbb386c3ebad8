"""What URLs of Redis mean, and that a wrong one is told without its password."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.errors import SettingsError
from ringfence.stores.redis.address import Address
from ringfence.stores.redis.url import Certificates, Credentials, Target, parse_url


def host(name, port=6379):
    return Address(name, port)


SOUND = {
    "redis://localhost": Target("single", (host("localhost"),)),
    "redis://127.0.0.1:7000/3": Target("single", (host("127.0.0.1", 7000),), db=3),
    "redis://[::1]:7000?db=3": Target("single", (host("::1", 7000),), db=3),
    "redis+unix:///run/valkey.sock?db=1": Target(
        "single", (Address("", path="/run/valkey.sock"),), db=1
    ),
    "rediss://cache": Target("single", (host("cache"),), tls=Certificates()),
    "rediss://cache?ca_file=/ca.pem&cert_file=/c.pem&key_file=/k.pem": Target(
        "single",
        (host("cache"),),
        tls=Certificates(Path("/ca.pem"), Path("/c.pem"), Path("/k.pem")),
    ),
    "redis://cache?timeout=0.2&connect_timeout=2": Target(
        "single", (host("cache"),), timeout=0.2, connect_timeout=2.0
    ),
    "redis://shop@cache?password_file=/run/secrets/redis": Target(
        "single",
        (host("cache"),),
        credentials=Credentials("shop", file=Path("/run/secrets/redis")),
    ),
    "redis+sentinel://a,b:26380/main?db=2": Target(
        "sentinel", (host("a", 26379), host("b", 26380)), "main", 2
    ),
    "redis+sentinel://a/main/2": Target("sentinel", (host("a", 26379),), "main", 2),
    "rediss+sentinel://a/main?sentinel_user=w&sentinel_password_file=/p": Target(
        "sentinel",
        (host("a", 26379),),
        "main",
        sentinel_credentials=Credentials("w", file=Path("/p")),
        tls=Certificates(),
    ),
    "redis+cluster://a:1,b:2": Target("cluster", (host("a", 1), host("b", 2))),
    "rediss+cluster://a": Target("cluster", (host("a"),), tls=Certificates()),
}


@pytest.mark.parametrize("url", SOUND)
def test_what_a_url_means(url):
    assert parse_url(url) == SOUND[url]


def test_user_and_password_are_decoded():
    credentials = parse_url("redis://a%40b:p%2F%3F%23@cache").credentials
    assert (credentials.user, credentials.password.reveal()) == ("a@b", "p/?#")


def test_a_password_alone_is_of_the_default_user():
    credentials = parse_url("redis://:hunter2@cache").credentials
    assert (credentials.user, credentials.password.reveal()) == ("", "hunter2")


REFUSED = {
    "nonsense": "scheme is unknown; write redis://",
    "redis+sentinal://a/main": "write redis+sentinel://",
    "redis://": "not host:port",
    "redis://a:b": "a port that is not a number",
    "redis://a:0": "a port that is not a number",
    "redis://a:65536": "a port that is not a number",
    "redis://::1": "not host:port",
    "redis://[::1": "not host:port",
    "redis://[::1]7": "not host:port",
    "redis://a,b": "names one server",
    "redis://a/x": "not a number",
    "redis://a/1/2": "too many steps",
    "redis://a/1?db=1": "twice",
    "redis://a?db=": "empty or given twice",
    "redis://a?timeout=1&timeout=2": "empty or given twice",
    "redis://a?timeout=0": "not a number of seconds",
    "redis://a?timeout=nan": "not a number of seconds",
    "redis://a?timeout=x": "not a number of seconds",
    "redis://a?timout=1": "'timout'; did you mean timeout",
    "redis://a?zzz=1": "known: db",
    "redis://a?ca_file=/x": "write rediss",
    "rediss://a?key_file=/x": "without cert_file",
    "redis://a?sentinel_user=x": "without sentinels",
    "redis://u@a": "a user without a password",
    "redis://u:p@a?password_file=/x": "leave one of them out",
    "redis+sentinel://a": "names no service",
    "redis+cluster://a/1": "no database but 0",
    "redis+unix://a/x": "names no socket",
    "redis+unix://": "names no socket",
}


@pytest.mark.parametrize("url", REFUSED)
def test_a_wrong_url_says_what_to_write(url):
    with pytest.raises(SettingsError) as refused:
        parse_url(url)
    assert REFUSED[url] in str(refused.value)


@pytest.mark.parametrize("letter", list("/?#@:&=[] %"))
@pytest.mark.parametrize(
    "form",
    ["redis://{}@cache", "redis://:{}@cache", "redis://u:{}@cache:x/y?z=1"],
)
def test_no_part_of_a_password_is_told(form, letter):
    """CWE-532: one that was not quoted spills into the path, the port, the query."""
    url = form.format(f"hunter{letter}secret")
    try:
        said = repr(parse_url(url))
    except SettingsError as error:
        said = str(error)
    assert "hunter" not in said.replace("user='hunter", "")
    assert "secret" not in said.replace("[secret]", "").replace("key_file", "")


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    for scheme in ("redis", "rediss+sentinel", "redis+cluster", "redis+unix"):
        with suppress(SettingsError):
            parse_url(f"{scheme}://{text}")


@given(st.integers(1, 65535))
def test_addresses_are_written_as_they_are_read(port):
    for text in (f"a.example:{port}", f"[::1]:{port}"):
        assert str(Address.parse(text, 1)) == text
