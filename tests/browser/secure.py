"""A guarded application in production: https on loopback, by a certificate of the
test's own, in a Chromium that accepts it."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.types import ASGIApp
from tests.attacks.serving import listener

from ringfence import Guard, Settings
from ringfence.secrets.keyring import Keyring

HOST = "localhost"
_TICK = 0.05


@dataclass(frozen=True, slots=True)
class Production:
    """A guard that is served over https."""

    url: str
    data: Path

    def events(self, name: str) -> list[dict[str, object]]:
        """Return what the ledger holds by this name."""
        lines = (self.data / "audit.jsonl").read_text("utf-8").splitlines()
        return [event for event in map(json.loads, lines) if event["event"] == name]


@contextmanager
def in_production(app: ASGIApp, **settings: object) -> Iterator[Production]:
    """Serve ``app`` behind a guard, as production has it."""
    data = Path(tempfile.mkdtemp(prefix="https-test-"))
    try:
        with listener() as bound:
            url = f"https://{HOST}:{bound.getsockname()[1]}"
            Keyring(data / "keys", create=True).open()
            loaded = Settings.load(
                environ={},
                data=data,
                keys_file=data / "keys",
                public_origins=(url,),
                proxies=("none",),
                **settings,
            )
            certificate = _certificate(data / "server.pem")
            config = uvicorn.Config(
                Guard(app, loaded),
                log_config=None,
                proxy_headers=False,
                server_header=False,
                ssl_certfile=certificate,
                timeout_graceful_shutdown=2,
            )
            with _running(uvicorn.Server(config), bound):
                yield Production(url, data)
    finally:
        shutil.rmtree(data, ignore_errors=True)


@contextmanager
def _running(server: uvicorn.Server, bound: object) -> Iterator[None]:
    thread = threading.Thread(target=server.run, args=([bound],))
    thread.start()
    try:
        while not server.started and thread.is_alive():
            thread.join(_TICK)
        yield
    finally:
        server.should_exit = True
        thread.join()


def _certificate(path: Path) -> Path:
    """Write a key and a certificate for it, good for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path
