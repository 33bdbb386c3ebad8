"""Where links in letters lead."""

import pytest
from tests.identity.gatehouse import visit

from ringfence.identity.links import Links


@pytest.mark.parametrize(
    ("server", "link"),
    [
        (("127.0.0.1", 8000), "http://127.0.0.1:8000/x"),
        (("::1", 8000), "http://[::1]:8000/x"),
        (("/run/shop.sock", None), ""),
        (None, ""),
    ],
)
def test_in_development_it_is_the_socket_that_serves(server, link):
    """What the server knows, and no header; nothing where it has no port."""
    exchange = visit()
    exchange.scope["server"] = server
    assert Links((), development=True).to("/x", exchange) == link
    assert Links((), development=False).to("/x", exchange) == ""


def test_what_is_configured_goes_first():
    links = Links(("https://shop.example/", "https://b.example"), development=True)
    assert links.to("/x", visit()) == links.to("/x", None) == "https://shop.example/x"
    assert links.known
    assert not Links((), development=False).known
