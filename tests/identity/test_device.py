"""A few words for a browser."""

import pytest

from ringfence.identity.device import describe_device

AGENTS = {
    b"Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0": (
        "Firefox on Linux"
    ),
    b"Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/130.0 Safari/537.36 "
    b"Edg/130.0": "Edge on Windows",
    b"Mozilla/5.0 (Linux; Android 14) Chrome/130.0 Mobile Safari/537.36": (
        "Chrome on Android"
    ),
    b"Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17.0 "
    b"Mobile Safari/604.1": "Safari on iPhone",
    b"curl/8.5.0": "curl",
    b"Linux": "Linux",
    b"": "Unknown device",
    b"<script>alert(1)</script>\x1b[31m": "Unknown device",
}


@pytest.mark.parametrize(("agent", "device"), AGENTS.items())
def test_only_our_own_words_come_out(agent, device):
    assert describe_device(agent) == device


def test_a_long_header_is_cut():
    assert describe_device(b"x" * 600 + b"Firefox/1") == "Unknown device"
