import asyncio
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringfence.browser.csrf import FIELD_WITHIN, mint, protect, verify
from ringfence.browser.form import read_field
from ringfence.denial import Denial
from ringfence.errors import BodyTooLargeError

pytestmark = pytest.mark.anyio

KEY = b"k" * 32
STAGE = protect(lambda: (KEY,), public_origins=("https://shop.example",))
URLENCODED = "application/x-www-form-urlencoded"
BOUNDARY = "----WebKitFormBoundary7MA4"


@pytest.fixture
def token(session):
    return mint(KEY, session.token_hash)


def posting(exchange_of, session, body=b"", content_type=URLENCODED, **headers):
    chunks = [body] if isinstance(body, bytes) else body
    headers = {"content-type": content_type, **headers}
    return exchange_of("POST", headers, body=chunks, session=session)


async def read_all(exchange):
    read = b""
    while True:
        message = await exchange.receive()
        if message["type"] == "http.disconnect":
            return read
        read += message["body"]


def part(name, value, extra=""):
    return (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n'
        f"\r\n{value}\r\n"
    )


def multipart(*parts):
    return ("".join(parts) + f"--{BOUNDARY}--\r\n").encode()


MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"


async def test_without_a_session_there_is_nothing_to_forge(exchange_of):
    """Curl and httpx keep working."""
    exchange = exchange_of("POST")
    assert await STAGE(exchange) is None
    assert exchange.mint_csrf_token(exchange) == ""


async def test_a_sign_in_gives_a_token_for_its_new_session(exchange_of, session):
    exchange = exchange_of("POST")
    assert await STAGE(exchange) is None
    exchange.session = session
    assert verify(exchange.mint_csrf_token(exchange).encode(), KEY, session.token_hash)


async def test_a_session_gets_a_token_that_the_stage_accepts(exchange_of, session):
    page = exchange_of("GET", session=session)
    assert await STAGE(page) is None
    form = exchange_of(
        "POST", {"x-csrf-token": page.mint_csrf_token(page)}, session=session
    )
    assert await STAGE(form) is None


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_session_without_proof_is_refused(exchange_of, session, method):
    denial = await STAGE(exchange_of(method, session=session))
    assert (denial.status, denial.code) == (403, "browser.csrf_missing")


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "same-origin"}, {"origin": "https://shop.example"}]
)
async def test_what_the_browser_said_is_enough(exchange_of, session, headers):
    """Judged before, by fetch_metadata; then no page needs a token."""
    assert await STAGE(exchange_of("POST", headers, session=session)) is None


async def test_the_form_field_is_found_and_the_body_replayed(
    exchange_of, session, token
):
    body = urlencode({"to": "ana", "csrf_token": token, "amount": 5}).encode()
    exchange = posting(exchange_of, session, body)
    assert await STAGE(exchange) is None
    assert await read_all(exchange) == body


async def test_a_body_in_single_bytes_is_replayed_whole(exchange_of, session, token):
    body = f"csrf_token={token}&to=%F0%9F%A6%8A".encode()
    exchange = posting(exchange_of, session, [bytes([byte]) for byte in body])
    assert await STAGE(exchange) is None
    assert await read_all(exchange) == body


async def test_single_bytes_are_given_back_in_one_piece(exchange_of, session, token):
    """A message for each would take hundreds of times their room (CWE-770); empty ones
    would take it without end."""
    body = f"csrf_token={token}&to=ana".encode()
    pieces = [piece for byte in body for piece in (bytes([byte]), b"", b"")]
    exchange = posting(exchange_of, session, pieces)
    assert await STAGE(exchange) is None
    message = {"type": "http.request", "body": body, "more_body": False}
    assert await exchange.receive() == message
    assert (await exchange.receive())["type"] == "http.disconnect"


async def test_who_hangs_up_in_between_is_told_on(exchange_of, session):
    exchange = posting(exchange_of, session)
    messages = [
        {"type": "http.request", "body": b"a=", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive():
        return messages.pop(0)

    exchange.receive = receive
    assert (await STAGE(exchange)).code == "browser.csrf_missing"
    assert (await exchange.receive())["body"] == b"a="
    assert (await exchange.receive())["type"] == "http.disconnect"


async def test_a_multipart_field_is_found(exchange_of, session, token):
    body = multipart(
        part("note", "csrf_token=no"),
        part("file", "x", '; filename="a"'),
        part("csrf_token", token),
    )
    for content_type in (MULTIPART, f'Multipart/Form-Data; Boundary="{BOUNDARY}"'):
        exchange = posting(exchange_of, session, body, content_type)
        assert await STAGE(exchange) is None
        assert await read_all(exchange) == body


@pytest.mark.parametrize(
    "make",
    [
        lambda token: (f"csrf_token={token}&csrf_token={token}".encode(), URLENCODED),
        lambda token: (f"CSRF_TOKEN={token}".encode(), URLENCODED),
        lambda token: (f"csrf_token={token}".encode(), "text/plain"),
        lambda token: (f"csrf_token={token}".encode(), "application/json"),
        lambda token: (b"{", "application/json"),
        lambda _: (b"", URLENCODED),
        lambda _: (b"csrf_token=", URLENCODED),
        lambda token: (
            b"a=" + b"x" * FIELD_WITHIN + f"&csrf_token={token}".encode(),
            URLENCODED,
        ),
        lambda token: (multipart(part("csrf_token", token)), "multipart/form-data"),
        lambda token: (
            multipart(part("csrf_token", token, '; filename="x"')),
            MULTIPART,
        ),
        lambda token: (multipart(part("note", f"\r\ncsrf_token={token}")), MULTIPART),
        lambda token: (
            multipart(part("a", "x" * FIELD_WITHIN), part("csrf_token", token)),
            MULTIPART,
        ),
        lambda token: (part("csrf_token", token).encode(), MULTIPART),
    ],
)
async def test_a_field_that_is_not_plainly_there_is_missing(
    exchange_of, session, token, make
):
    """Doubled, cut off, of another type, or beyond 64 KiB: no proof."""
    body, content_type = make(token)
    exchange = posting(exchange_of, session, body, content_type)
    assert (await STAGE(exchange)).code == "browser.csrf_missing"
    assert await read_all(exchange) == body


async def test_a_token_of_another_session_is_refused(exchange_of, session):
    """The attacker's own token, planted by a sibling domain's cookie, is worthless."""
    planted = mint(KEY, b"o" * 32)
    exchange = exchange_of("POST", {"x-csrf-token": planted}, session=session)
    assert (await STAGE(exchange)).code == "browser.csrf_wrong"


async def test_the_header_decides_where_both_are_sent(exchange_of, session, token):
    body = f"csrf_token={token}".encode()
    exchange = posting(exchange_of, session, body, **{"x-csrf-token": "wrong"})
    assert (await STAGE(exchange)).code == "browser.csrf_wrong"


async def test_a_body_over_its_cap_is_told_as_that(exchange_of, session):
    exchange = posting(exchange_of, session)
    too_large = Denial(413, "traffic.body_too_large", "")

    async def receive():
        exchange.denial = too_large
        raise BodyTooLargeError(10)

    exchange.receive = receive
    assert await STAGE(exchange) is too_large


async def test_a_client_that_hangs_up(exchange_of, session):
    exchange = exchange_of("POST", {"content-type": URLENCODED}, session=session)
    assert (await STAGE(exchange)).code == "browser.csrf_missing"
    assert (await exchange.receive())["type"] == "http.disconnect"


async def test_a_signed_in_web_socket_needs_an_origin(exchange_of, session):
    """CSWSH: browsers always state it, so its absence is no browser's."""
    for headers in ({}, {"sec-fetch-site": "same-origin"}):
        exchange = exchange_of(headers=headers, session=session, kind="websocket")
        assert (await STAGE(exchange)).code == "browser.origin_missing"
    stated = {"origin": "https://shop.example"}
    exchange = exchange_of(headers=stated, session=session, kind="websocket")
    assert await STAGE(exchange) is None
    assert await STAGE(exchange_of(kind="websocket")) is None


async def test_signed_in_answers_are_not_loaded_by_other_sites(exchange_of, session):
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    denial = await STAGE(exchange_of("GET", headers, session=session))
    assert denial.code == "browser.cross_site_read"
    assert await STAGE(exchange_of("GET", headers)) is None


async def test_the_keys_are_asked_late(exchange_of, session):
    """Keys are opened after the stages are made."""
    asked = []

    def keys():
        asked.append(1)
        return (KEY,)

    stage = protect(keys)
    exchange = exchange_of("GET", session=session)
    await stage(exchange)
    assert not asked
    exchange.mint_csrf_token(exchange)
    assert asked


async def test_a_page_outlives_a_rotation_of_keys(exchange_of, session):
    """A form that was loaded before is still taken; the next one has the new key."""
    ring = [KEY]
    stage = protect(lambda: ring)
    page = exchange_of("GET", session=session)
    await stage(page)
    token = page.mint_csrf_token(page)
    ring.insert(0, b"n" * 32)
    sent = exchange_of("POST", {"x-csrf-token": token}, session=session)
    assert await stage(sent) is None
    assert verify(sent.mint_csrf_token(sent).encode(), ring[0], session.token_hash)
    ring.remove(KEY)
    late = exchange_of("POST", {"x-csrf-token": token}, session=session)
    assert (await stage(late)).code == "browser.csrf_wrong"


def test_tokens_differ_at_every_call():
    """BREACH: a secret that looks different each time cannot be measured."""
    first, second = (mint(KEY, b"h" * 32) for _ in range(2))
    assert first != second
    assert verify(first.encode(), KEY, b"h" * 32)
    assert verify(second.encode(), KEY, b"h" * 32)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token[:-1],
        lambda token: token + b"A",
        lambda token: token.swapcase(),
        lambda token: b"!" * len(token),
        lambda token: b"A" * len(token),
        lambda token: b"\xff" * len(token),
        lambda _: b"",
        lambda token: b"=" * len(token),
    ],
)
def test_spoiled_tokens_are_refused(spoil):
    token = mint(KEY, b"h" * 32).encode()
    assert not verify(spoil(token), KEY, b"h" * 32)
    assert not verify(token, b"x" * 32, b"h" * 32)


_PIECES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [
                b"csrf_token=",
                b"&",
                b"%",
                b"\r\n",
                b"--x",
                b"--x--",
                b'Content-Disposition: form-data; name="csrf_token"\r\n\r\n',
            ]
        ),
    ),
    max_size=12,
)
_KINDS = st.sampled_from(
    [URLENCODED, "multipart/form-data; boundary=x", 'multipart/form-data; boundary="']
)


@given(pieces=_PIECES, kind=_KINDS, cut=st.integers(0, 60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_body_is_refused_and_given_back_whole(
    exchange_of, session, pieces, kind, cut
):
    """Whatever stands in it, and wherever it is cut: no exception, no byte lost."""
    exchange = posting(exchange_of, session, pieces, kind)
    found = asyncio.run(read_field(exchange, b"csrf_token", within=cut))
    assert found is None or isinstance(found, bytes)
    assert asyncio.run(read_all(exchange)) == b"".join(pieces)


@given(st.binary(max_size=100))
def test_no_noise_is_a_token(noise):
    assert not verify(noise, KEY, b"h" * 32)
