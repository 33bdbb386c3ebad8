"""A provider, and a guard that knows it."""

import pytest
from joserfc.jwk import OKPKey, RSAKey
from tests.identity.openid.guarded import guarded, running_provider


@pytest.fixture
def provider():
    """An honest provider."""
    with running_provider() as running:
        yield running


@pytest.fixture
async def shop(tmp_path, provider, anyio_backend):
    """A guard that knows the honest provider."""
    async with guarded(tmp_path, provider.settings()) as opened:
        yield opened


@pytest.fixture
def browser(shop):
    """A browser that is signed in nowhere."""
    return shop.browser()


@pytest.fixture(scope="session")
def keys():
    """A key for each algorithm, made once."""
    rsa = RSAKey.generate_key(2048, auto_kid=True)
    curve = OKPKey.generate_key("Ed25519", auto_kid=True)
    return {"RS256": rsa, "PS256": rsa, "Ed25519": curve, "EdDSA": curve}
