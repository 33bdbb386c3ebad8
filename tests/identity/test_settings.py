"""Settings of the gatehouse."""

import pytest

from ringfence.errors import SettingsError
from ringfence.identity.settings import IdentitySettings


def test_the_defaults_are_within_the_standards():
    """ASVS 5.0 V6.2.1; NIST SP 800-63B-4 section 2.2.3 (idle 1 h, absolute 24 h)."""
    settings = IdentitySettings()
    assert settings.password_min_length >= 8
    assert settings.session_idle <= 3600
    assert settings.session_absolute <= 24 * 3600


def test_the_usual_three_numbers_against_brute_force():
    """10 a minute by address, 5 failures by account, 100 a minute in all."""
    settings = IdentitySettings()
    assert settings.sign_ins_per_address == 10
    assert settings.sign_in_failures == 5
    assert settings.sign_ins_global == 100


@pytest.mark.parametrize(
    "wrong",
    [
        {"session_idle": 59},
        {"session_idle": 31 * 86400, "session_absolute": 90 * 86400},
        {"session_absolute": 1799},
        {"session_absolute": 91 * 86400},
        {"password_min_length": 7},
        {"password_min_length": 65},
        {"hash_threads": -1},
        {"hash_queue": -1},
        {"hash_queue": 10_001},
        {"hash_per_network": 0},
        {"hash_memory": 18},
        {"password_hash_ms": 99},
        {"password_hash_ms": 501},
        {"password_hash_ms": -1},
        {"password_answer_ms": -1},
        {"password_answer_ms": 5_001},
        {"sign_ins_per_address": 0},
        {"sign_in_failures": 0},
        {"sign_in_failures": 101},
        {"sign_ins_global": 0},
        {"lock_shortest": 0},
        {"lock_longest": 59},
        {"lock_longest": 86_401},
        {"spray_accounts": 1},
        {"spray_accounts_global": 1001},
        {"registrations_per_address": 0},
        {"registrations_global": 0},
        {"session_moved": "quit"},
        {"sessions": "redis"},
        {"site_name": ""},
        {"api_key_scopes": ("orders read",)},
        {"api_key_scopes": ("",)},
        {"after_sign_in": "https://evil.example"},
        {"after_sign_in": "//evil.example"},
    ],
)
def test_what_is_out_of_range_stops_the_start(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong)).partition("_")[0]):
        IdentitySettings(**wrong)


def test_a_missing_template_folder_is_named(tmp_path):
    with pytest.raises(SettingsError, match="no folder"):
        IdentitySettings(templates=tmp_path / "missing")
