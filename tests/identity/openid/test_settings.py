"""What may be said of providers, and what must not."""

import pytest

from ringfence import Secret, Settings
from ringfence.errors import SettingsError
from ringfence.identity.openid.settings import (
    OpenIdProvider,
    OpenIdSettings,
    is_endpoint,
)

GOOD = {
    "name": "example",
    "issuer": "https://accounts.example",
    "client_id": "shop",
    "client_secret": Secret("s3cret"),
}
TOML = """
[openid]

[[openid.providers]]
name = "example"
label = "Example"
issuer = "https://accounts.example/"
client_id = "shop"
client_secret = "s3cret"
authentication = "post"
scopes = ["openid", "profile"]
algorithms = ["ES256"]

[[openid.providers]]
name = "other"
issuer = "https://other.example"
client_id = "shop"
authentication = "none"
"""


def test_several_stand_in_the_file(tmp_path):
    file = tmp_path / "ringfence.toml"
    file.write_text(TOML)
    first, second = Settings.load(file, environ={}).openid.providers
    assert first.client_secret == Secret("s3cret")
    assert first.issuer == "https://accounts.example/"
    assert first.scopes == ("openid", "profile")
    assert (second.name, second.label) == ("other", "other")


def test_a_mistake_in_the_file_shows_no_secret(tmp_path):
    file = tmp_path / "ringfence.toml"
    file.write_text(TOML.replace('"post"', '"header"'))
    with pytest.raises(SettingsError, match="the 1") as refused:
        Settings.load(file, environ={})
    assert "s3cret" not in str(refused.value)


def test_a_single_one_can_be_given_by_the_environment():
    environ = {
        "RINGFENCE_OPENID_ISSUER": "https://accounts.example",
        "RINGFENCE_OPENID_CLIENT_ID": "shop",
        "RINGFENCE_OPENID_CLIENT_SECRET": "s3cret",
        "RINGFENCE_OPENID_NAME": "example",
    }
    settings = Settings.load(environ=environ).openid
    (provider,) = settings.providers
    assert provider == OpenIdProvider(**GOOD)
    assert "s3cret" not in repr(settings)


def test_one_without_a_secret_has_none_to_send():
    settings = OpenIdSettings(issuer="https://accounts.example", client_id="shop")
    assert settings.providers[0].authentication == "none"
    assert OpenIdSettings().providers == ()


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"name": "Example"}, "no name of a provider"),
        ({"name": "a/b"}, "no name of a provider"),
        ({"label": "x" * 65}, "label"),
        ({"issuer": "http://accounts.example"}, "issuer"),
        ({"issuer": "accounts.example"}, "issuer"),
        ({"issuer": "https://accounts.example?x=1"}, "issuer"),
        ({"issuer": "https://user@accounts.example"}, "issuer"),
        ({"client_id": ""}, "client_id is missing"),
        ({"client_secret": None}, "'none'"),
        ({"authentication": "none"}, "'none'"),
        ({"authentication": "jwt"}, "basic or post"),
        ({"scopes": ("email",)}, "'openid'"),
        ({"scopes": ("openid", "a b")}, "'openid'"),
        ({"algorithms": ()}, "shared secrets"),
        ({"algorithms": ("HS256",)}, "shared secrets"),
        ({"algorithms": ("none",)}, "shared secrets"),
    ],
)
def test_a_provider_that_cannot_work_stops_the_start(changed, why):
    with pytest.raises(SettingsError, match=why):
        OpenIdProvider(**{**GOOD, **changed})


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"client_id": "shop"}, "issuer is not"),
        ({"providers": (OpenIdProvider(**GOOD),) * 2}, "same name"),
        (
            {
                "providers": (
                    OpenIdProvider(**GOOD),
                    OpenIdProvider(**{**GOOD, "name": "b"}),
                )
            },
            "same issuer",
        ),
        (
            {
                "providers": tuple(
                    OpenIdProvider(
                        **{**GOOD, "name": f"n{i}", "issuer": f"https://{i}.example"}
                    )
                    for i in range(17)
                )
            },
            "more than 16",
        ),
    ],
)
def test_providers_that_do_not_go_together_stop_the_start(fields, why):
    with pytest.raises(SettingsError, match=why):
        OpenIdSettings(**fields)


def test_production_asks_for_tls():
    """Over plain http anybody on the way could say who somebody is."""
    local = OpenIdProvider(**{**GOOD, "issuer": "http://127.0.0.1:8080"})
    with pytest.raises(SettingsError, match="https://"):
        OpenIdSettings(providers=(local,)).check_production()
    OpenIdSettings(providers=(OpenIdProvider(**GOOD),)).check_production()


@pytest.mark.parametrize(
    "url",
    [
        "ftp://accounts.example/",
        "https://",
        "https://a.example:0/",
        "https://a.example:99999/",
        "https://a.example/\\@b.example",
        "https://a@b.example/",
        "https://a.example/#b",
        "https://a.example/ b",
        "https://a.example/\r\nb: c",
        "https://[::1/",
        "https://a.example/" + "b" * 2048,
        "http://a.example/",
        "http://localhost.example/",
        "javascript:alert(1)",
        "//a.example/",
    ],
)
def test_no_address_that_is_read_in_two_ways_is_asked(url):
    assert not is_endpoint(url, development=True)


def test_plain_http_is_for_this_machine_in_development():
    assert is_endpoint("http://localhost:1/x", development=True)
    assert not is_endpoint("http://localhost:1/x", development=False)
    assert is_endpoint("https://a.example/x?y=1", development=False)
