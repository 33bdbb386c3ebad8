import pytest

from ringfence.errors import SettingsError
from ringfence.traffic.settings import TrafficSettings


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"allowed_hosts": ("*",)}, "every name"),
        ({"allowed_hosts": ("*.shop.example",)}, "'.shop.example'"),
        ({"allowed_hosts": ("https://shop.example",)}, "leave out the scheme"),
        ({"allowed_hosts": ("Shop.example",)}, "'shop.example'"),
        ({"allowed_hosts": ("shop.example/",)}, "no host name"),
        ({"allowed_hosts": ("shöp.example",)}, "xn--"),
        ({"proxies": ("*",)}, "10.0.0.0/8"),
        ({"proxies": ("0.0.0.0/0",)}, "every address"),
        ({"proxies": ("::/0",)}, "every address"),
        ({"proxies": ("10.0.0.1/8",)}, "host bits set"),
        ({"proxies": ("proxy.internal",)}, "no address or network"),
        ({"proxies": ("none", "10.0.0.1")}, "leave out 'none'"),
        ({"forwarding_header": "X_Forwarded_For"}, "'x-forwarded-for'"),
        (
            {"proxies": ("cloudflare",), "forwarding_header": "x-real-ip"},
            "'cf-connecting-ip'",
        ),
        (
            {"proxies": ("cloudflare",), "forwarding_header": "forwarded"},
            "as the visitor wrote it",
        ),
        (
            {
                "proxies": ("cloudflare", "10.0.0.0/8"),
                "forwarding_header": "cf-connecting-ip",
            },
            "came around Cloudflare",
        ),
        ({"proxies": ("cloudfront",)}, "'cloudflare'"),
        ({"cloudflare_networks": ("1.2.3.0/24",)}, "does not name 'cloudflare'"),
        (
            {"proxies": ("cloudflare",), "cloudflare_networks": ("::/0",)},
            "every address",
        ),
        ({"public_scheme": "http"}, "public_scheme"),
        ({"ipv6_prefix": 32}, "at least 48"),
        ({"ipv6_prefix": 128}, "at most 64"),
        ({"forwarding_header": "x-forwarded-host"}, "is not one of"),
        ({"scheme_header": "x-proto"}, "x-forwarded-proto"),
        ({"max_body": -1}, "max_body"),
        ({"path_limit": 0}, "path_limit"),
        ({"header_count_limit": 0}, "header_count_limit"),
        ({"extra_methods": ("TRACE",)}, "never served"),
        ({"extra_methods": ("propfind",)}, "capitals"),
    ],
)
def test_wrong_settings_stop_the_start_up(fields, words):
    """The message says what is wrong and what to write instead."""
    with pytest.raises(SettingsError, match=r"traffic\.") as caught:
        TrafficSettings(**fields)
    assert words in str(caught.value)


def test_the_defaults_are_valid():
    assert TrafficSettings().networks == ()


def test_networks_are_parsed_without_the_special_words():
    settings = TrafficSettings(proxies=("10.0.0.0/8", "::1", "unix"))
    assert [str(network) for network in settings.networks] == ["10.0.0.0/8", "::1/128"]
