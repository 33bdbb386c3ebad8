import pytest

from ringfence.exchange import Exchange


@pytest.fixture
def exchange_of():
    """Make an exchange from the parts of a scope that a case is about."""

    def make(path="/", *, raw_path=..., headers=(), receive=None, **scope):
        raw = path.encode() if raw_path is ... else raw_path
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": b"",
            "root_path": "",
            "http_version": "1.1",
            "scheme": "http",
            "client": ("127.0.0.1", 50000),
            "headers": [
                (name.encode(), value.encode("latin-1")) for name, value in headers
            ],
            **scope,
        }
        if raw is not None:
            scope["raw_path"] = raw
        return Exchange(scope, receive)

    return make
