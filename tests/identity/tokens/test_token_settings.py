"""What tokens may be set to."""

import pytest

from ringfence.errors import SettingsError
from ringfence.identity.tokens.settings import TokenSettings

GOOD = {
    "jwks_uri": "https://login.example/keys",
    "audience": "shop",
    "algorithms": "RS256, ES256",
}


def test_tokens_are_off_unless_asked_for():
    assert TokenSettings().enabled is False


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"lifetime": 299}, "lifetime is 299; it must be from 300 to 900"),
        ({"lifetime": 901}, "lifetime"),
        ({"lifetime": 0}, "lifetime"),
        ({"algorithm": "none"}, "algorithm"),
        ({"algorithm": "RS256"}, "algorithm"),
        ({"dpop": "sometimes"}, "dpop"),
        ({"refresh_idle": 59}, "refresh_idle"),
        ({"refresh_idle": 31 * 86_400}, "refresh_idle"),
        ({"refresh_absolute": 366 * 86_400}, "refresh_absolute"),
        ({"refresh_grace": 61}, "refresh_grace"),
        ({"refresh_grace": -1}, "refresh_grace"),
        ({"issuer": "http://shop.example"}, "no https URL"),
        ({"issuer": "shop"}, "no https URL"),
        ({"issuer": "https://["}, "no https URL"),
    ],
)
def test_what_is_out_of_range_is_refused(values, said):
    with pytest.raises(SettingsError, match=said):
        TokenSettings(**values)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"algorithms": "HS256"}, "must be some of"),
        ({"algorithms": "none"}, "must be some of"),
        ({"algorithms": ""}, "must be some of"),
        ({"algorithms": "RS256 RS1"}, "must be some of"),
        ({"jwks_uri": "http://login.example/keys"}, "no https URL"),
        ({"jwks_uri": "file:///etc/passwd"}, "no https URL"),
        ({"audience": ""}, "any token would do"),
        ({"aud": "x"}, "there are: algorithms"),
        ({"type": "id"}, "must be at\\+jwt or JWT"),
    ],
)
def test_an_issuer_that_cannot_be_trusted_is_refused(changes, said):
    with pytest.raises(SettingsError, match=said):
        TokenSettings(issuers={"https://login.example": GOOD | changes})


@pytest.mark.parametrize("missing", GOOD)
def test_of_an_issuer_all_is_needed(missing):
    told = {name: value for name, value in GOOD.items() if name != missing}
    with pytest.raises(SettingsError, match=f"needs '{missing}'"):
        TokenSettings(issuers={"https://login.example": told})


def test_an_issuer_is_read():
    told = GOOD | {"roles": "r", "tenant": "t"}
    settings = TokenSettings(issuers={"https://login.example": told})
    (issuer,) = settings.foreign
    assert issuer.tenant == "t"
    assert issuer.algorithms == {"RS256", "ES256"}
    assert (issuer.issuer, issuer.audience, issuer.roles) == (
        "https://login.example",
        "shop",
        "r",
    )


def test_we_are_no_foreign_issuer():
    with pytest.raises(SettingsError, match="which is this service"):
        TokenSettings(
            issuer="https://shop.example", issuers={"https://shop.example": GOOD}
        )


def test_the_environment_has_no_tables():
    with pytest.raises(SettingsError, match="not in the environment"):
        TokenSettings(issuers={"https://login.example": ("a",)})


def test_names_are_filled_in():
    named = TokenSettings().named(["https://shop.example/", "https://b.example"])
    assert (named.issuer, named.audience) == ("https://shop.example",) * 2
    assert TokenSettings().named([]).issuer == "http://localhost"
    own = TokenSettings(issuer="https://id.example", audience="api").named([])
    assert (own.issuer, own.audience) == ("https://id.example", "api")
