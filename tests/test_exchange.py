"""What the guard knows of a request does not change behind its back."""

from ringfence.exchange import Exchange


def test_a_late_trailer_is_no_header():
    """A server like uvicorn appends trailers to the list it gave (RFC 9110, 6.5.1)."""
    given = [(b"host", b"shop.example")]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": given}
    exchange = Exchange(scope, None)
    given.append((b"authorization", b"Basic YTpi"))
    assert exchange.scope["headers"] == [(b"host", b"shop.example")]
    assert exchange.headers == {b"host": b"shop.example"}
