"""Passwords guessed, and locks turned against their owner (guide: "Rate Limiting
Layers"; CWE-307, CWE-645, CWE-799)."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count

import httpx2
import pytest
from tests.attacks.ledgers import settled
from tests.attacks.ranges import ALICE, GUARDED_PASSWORD, running_range
from tests.attacks.serving import NO_TLS

# The numbers as they are by default, but for all together: these tests share a server;
# and a spray is seen within one minute.
DEFAULTS = {
    "RINGFENCE_IDENTITY_SIGN_INS_PER_ADDRESS": "10",
    "RINGFENCE_IDENTITY_SIGN_IN_FAILURES": "5",
    "RINGFENCE_IDENTITY_SPRAY_ACCOUNTS": "8",
    "RINGFENCE_IDENTITY_PASSWORD_ANSWER_MS": "100",
}
LEAST_SECONDS = 0.1  # of an answer about a password
GUESSES = [f"guess number {n}" for n in range(30)]

_addresses = (f"127.{a}.{b}.1" for a in range(1, 250) for b in range(1, 250))
_people = (f"person-{n}@example.com" for n in count())


@pytest.fixture(scope="module")
def on():
    """The guarded range with the limits that it has by default."""
    with running_range("on", **DEFAULTS) as running:
        yield running


def someone(side, address=None, **options):
    """Return a client at an address of its own: all of 127.0.0.0/8 is this machine."""
    address = address or next(_addresses)
    transport = httpx2.HTTPTransport(local_address=address, verify=NO_TLS)
    headers = {"origin": side.url, **options.pop("headers", {})}
    return side.client(transport=transport, headers=headers, timeout=60, **options)


def registered(side):
    """Make an account for a test alone."""
    account = {"email": next(_people), "password": GUARDED_PASSWORD}
    with someone(side) as client:
        assert client.post("/auth/register", json=account).status_code == 202
    return account


def sign_in(side, account, address=None):
    with someone(side, address) as client:
        return client.post(side.sign_in_path, json=account)


def ledger(side, name):
    """Return the events of a name."""
    with someone(side) as client:
        events = settled(side.data, client)
    return [event for event in events if event["event"] == name]


def reasons(side):
    """Return why sign-ins have failed so far."""
    return Counter(event["reason"] for event in ledger(side, "authn_login_fail"))


def test_a_list_of_passwords_is_tried(off, on):
    """The right one is the twentieth: from one address, and from one each."""
    victim = registered(on)
    for side, account in ((off, ALICE), (on, victim)):
        passwords = [*GUESSES[:19], account["password"]]
        same = next(_addresses)
        for addresses in ([same] * 20, [next(_addresses) for _ in range(20)]):
            answers = [
                sign_in(side, {**account, "password": password}, address).status_code
                for password, address in zip(passwords, addresses, strict=True)
            ]
            assert (answers[-1] == 200) is (side is off)
            if side is on:
                assert set(answers) <= {401, 429}


def test_fifty_at_once_are_no_more_than_five(off, on):
    """A check that reads, hashes and counts afterwards lets them all pass."""
    victim, before = registered(on), reasons(on)
    for side, account in ((off, ALICE), (on, victim)):
        bodies = [{**account, "password": f"guess {n}"} for n in range(49)] + [account]
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(partial(sign_in, side), bodies))
        statuses = {answer.status_code for answer in answers}
        assert statuses == ({200, 401} if side is off else {401})
    assert reasons(on) - before == {"wrong password": 5, "locked": 45}


def test_another_forwarded_address_each_time_is_the_same_client(off, on):
    """Who may name the client is configured; a header from anybody is not believed."""
    victim = registered(on)
    for side, account in ((off, ALICE), (on, victim)):
        statuses = set()
        with someone(side) as mallory:
            for n, password in enumerate([*GUESSES, account["password"]]):
                headers = {"x-forwarded-for": f"203.0.113.{n}"}
                body = {**account, "password": password}
                answer = mallory.post(side.sign_in_path, json=body, headers=headers)
                statuses.add(answer.status_code)
        assert (200 in statuses) is (side is off)


def test_every_spelling_of_the_address_is_the_same_account(on):
    account = registered(on)
    name = account["email"]
    spellings = [name.upper(), f" {name}", f"{name}\t", name.title(), name.swapcase()]
    for spelling in spellings:
        wrong = {"email": spelling, "password": "a wrong pass phrase"}
        assert sign_in(on, wrong).status_code == 401
    assert sign_in(on, account).status_code == 401


def test_a_lock_does_not_tell_who_has_an_account(on):
    """Known and unknown addresses are locked alike, and the answers are the same."""
    seen = []
    for email in (registered(on)["email"], next(_people)):
        body = {"email": email, "password": "a wrong pass phrase"}
        for _ in range(7):
            answer = sign_in(on, body)
            fields = answer.json()
            fields.pop("request_id")
            headers = set(answer.headers) - {"date", "x-request-id"}
            seen.append((answer.status_code, str(fields), tuple(sorted(headers))))
    assert len(set(seen)) == 1


def test_the_time_does_not_tell_that_an_account_is_locked(on):
    """Nothing is hashed for it, and still no answer comes before a fixed moment."""
    account, before = registered(on), reasons(on)
    times = []
    for _ in range(10):
        began = time.perf_counter()
        sign_in(on, {**account, "password": "a wrong pass phrase"})
        times.append(time.perf_counter() - began)
    assert reasons(on) - before == {"wrong password": 5, "locked": 5}
    assert min(times) > LEAST_SECONDS


def test_strangers_cannot_lock_the_owner_out(on):
    """200 addresses guess; a browser that the owner has used before signs in at once.
    Without the cookie of the device, the lock would work against the owner."""
    account = registered(on)
    with someone(on) as browser:
        assert browser.post("/auth/login", json=account).status_code == 200
        browser.post("/auth/logout")
        wrong = {**account, "password": "a wrong pass phrase"}
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(partial(sign_in, on), [wrong] * 200))
        assert sign_in(on, account).status_code == 401
        assert browser.post("/auth/login", json=account).status_code == 200


def test_neighbours_behind_one_address_are_not_locked_out(on):
    """Somebody in the office guesses: the address waits a minute at most, and the
    devices of every day not at all."""
    account, office = registered(on), next(_addresses)
    with someone(on, office) as browser:
        assert browser.post("/auth/login", json=account).status_code == 200
        browser.post("/auth/logout")
        for n in range(30):
            answer = sign_in(
                on, {"email": f"x{n}@example.com", "password": "x"}, office
            )
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert browser.post("/auth/login", json=account).status_code == 200


def test_a_stolen_device_cookie_has_five_guesses(on):
    """It opens nothing and lifts no limit."""
    account, before = registered(on), reasons(on)
    with someone(on) as browser:
        browser.post("/auth/login", json=account)
        ((name, value),) = (c for c in browser.cookies.items() if "device" in c[0])
    with someone(on, cookies={name: value}) as thief:
        assert thief.get("/auth/me").status_code == 401
    wrong = {**account, "password": "a wrong pass phrase"}
    for _ in range(20):
        with someone(on, cookies={name: value}) as thief:
            assert thief.post("/auth/login", json=wrong).status_code == 401
    assert reasons(on) - before == {"wrong password": 5, "locked": 15}


def test_a_stolen_session_does_not_guess_the_password(off, on):
    """The change of password asks for the present one, as seldom as the sign-in."""
    with off.signed_in(ALICE) as thief:  # asks for none
        assert thief.post("/password", json={"password": "mine"}).status_code == 200
    account = registered(on)
    with someone(on) as browser:
        token = browser.post("/auth/login", json=account).json()["csrf_token"]
        session = on.session(browser)
    statuses, headers = set(), {"x-csrf-token": token}
    for password in [*GUESSES[:9], account["password"]]:
        body = {"current_password": password, "new_password": "mallory's pass phrase"}
        with someone(on, cookies=dict([session]), headers=headers) as thief:
            answer = thief.post("/auth/password/change", json=body)
            statuses.add((answer.status_code, answer.json()["code"]))
    assert statuses == {(403, "identity.password_wrong")}


def test_one_password_is_tried_at_every_door(off, on):
    """A spray stays below the limit of each account: the ledger tells of it, and no
    account is locked."""
    with off.client() as mallory:
        body = {**ALICE, "password": "Winter 2026"}
        assert {mallory.post("/signin", json=body).status_code for _ in range(40)} == {
            401
        }  # and nobody has noticed
    people, address = [registered(on) for _ in range(10)], next(_addresses)
    for account in people:
        sign_in(on, {**account, "password": "Winter 2026"}, address)
    told = [e for e in ledger(on, "authn_login_spray") if e["network"] == address]
    assert [(event["level"], event["accounts"]) for event in told] == [("CRITICAL", 8)]
    for account in people[:3]:
        assert sign_in(on, account).status_code == 200


def test_a_few_typing_errors_cost_nothing(on):
    account, home = registered(on), next(_addresses)
    for _ in range(4):
        wrong = {**account, "password": "a wrong pass phrase"}
        assert sign_in(on, wrong, home).status_code == 401
    assert sign_in(on, account, home).status_code == 200
