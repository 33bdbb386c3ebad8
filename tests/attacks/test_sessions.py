"""Stolen, guessed and planted sessions (guide: "Session Management"; CWE-384, CWE-330,
CWE-204, CWE-601)."""

import re
import sqlite3
from contextlib import closing

import pytest
from tests.attacks.ranges import ALICE, BOB


def works(side, name, value):
    """Return whether a stolen cookie still opens the account."""
    with side.client(cookies={name: value}) as thief:
        answer = thief.get("/transfers")
        return answer.status_code == 200 and bool(answer.json())


@pytest.fixture
def robbed(off, on):
    """For each side: Alice's browser, with one transfer, and her stolen cookie."""

    def rob(side):
        client = side.signed_in(ALICE)
        alice = client.__enter__()
        alice.post("/transfer", data={"amount": "1"})
        stolen = side.session(alice)
        assert works(side, *stolen)
        return client, alice, stolen

    opened = {side: rob(side) for side in (off, on)}
    yield {side: rest for side, (_, *rest) in opened.items()}
    for client, *_ in opened.values():
        client.__exit__(None, None, None)


def test_a_session_id_of_the_attackers_is_not_taken(off, on):
    """A cookie planted before the sign-in is dead after it (session fixation)."""
    for side, fixed in ((off, True), (on, False)):
        with side.signed_in(ALICE) as alice:
            name, _ = side.session(alice)
        planted = "planted-by-mallory-0123456789-0123456789"
        page = {"origin": side.url, "sec-fetch-site": "same-origin"}
        with side.client(cookies={name: planted}, headers=page) as browser:
            answer = browser.post(side.sign_in_path, json=side.account(ALICE))
            given = re.search(f"{name}=([^;]+)", answer.headers["set-cookie"])[1]
        assert (given == planted) is fixed


def test_the_id_before_a_sign_in_is_dead_after_it(on):
    """A second sign-in gives a new id and ends the old one."""
    with on.signed_in(ALICE) as alice:
        before = on.session(alice)
        alice.post("/auth/login", json=on.account(ALICE))
        after = on.session(alice)
        assert before != after
        with on.client(cookies=dict([before])) as thief:
            assert thief.get("/auth/me").status_code == 401


def test_a_stolen_cookie_dies_with_the_sign_out(off, on, robbed):
    """Signing out ends the session on the server, not only in the browser."""
    for side, survives in ((off, True), (on, False)):
        alice, stolen = robbed[side]
        alice.post("/auth/logout" if side.guarded else "/signout")
        assert works(side, *stolen) is survives


def test_a_stolen_cookie_dies_with_the_password(off, on, robbed):
    """A change of password ends every other session."""
    new = "another long pass phrase"
    for side, survives in ((off, True), (on, False)):
        _, stolen = robbed[side]
        with side.signed_in(ALICE) as elsewhere:
            if side.guarded:
                old = side.account(ALICE)["password"]
                for current, wanted in ((old, new), (new, old)):
                    answer = elsewhere.post(
                        "/auth/password/change",
                        json={"current_password": current, "new_password": wanted},
                    )
                    assert answer.status_code < 300, answer.text
                    again = {**ALICE, "password": wanted}
                    answer = elsewhere.post("/auth/login", json=again)
                    token = answer.json()["csrf_token"]
                    elsewhere.headers["x-csrf-token"] = token
            else:
                elsewhere.post("/password", json={"password": ALICE["password"]})
        assert works(side, *stolen) is survives


def test_a_stolen_cookie_dies_when_its_owner_revokes_it(on, robbed):
    """The owner sees the session in a list and ends it."""
    alice, stolen = robbed[on]
    with on.signed_in(ALICE) as elsewhere:
        sessions = elsewhere.get("/auth/sessions").json()
        assert len(sessions) >= 2
        for session in sessions:
            if not session["current"]:
                answer = elsewhere.delete(f"/auth/sessions/{session['id']}")
                assert answer.status_code < 300
        assert elsewhere.get("/auth/me").status_code == 200
    assert not works(on, *stolen)
    assert alice.get("/auth/me").status_code == 401


def test_nobody_revokes_anothers_session(on):
    """The id in a list names a session; it opens and ends none of another's."""
    with on.signed_in(ALICE) as alice, on.signed_in(BOB) as bob:
        (theirs,) = [s for s in alice.get("/auth/sessions").json() if s["current"]]
        assert bob.delete(f"/auth/sessions/{theirs['id']}").status_code == 404
        assert alice.get("/auth/me").status_code == 200
        name, _ = on.session(alice)
        with on.client(cookies={name: theirs["id"]}) as thief:
            assert thief.get("/auth/me").status_code == 401


def test_the_next_id_cannot_be_guessed(off, on):
    """Ids are 256 random bits; the unguarded side counts (CWE-330)."""
    with off.signed_in(ALICE), off.signed_in(BOB) as bob:
        _, known = off.session(bob)
        with off.client(cookies={"session_id": str(int(known) - 1)}) as mallory:
            answer = mallory.post("/profile", json={})
            assert answer.status_code == 200  # somebody else's
    ids = set()
    for _ in range(4):
        with on.signed_in(ALICE) as alice:
            ids.add(on.session(alice)[1])
    assert len(ids) == 4
    assert all(len(value) >= 43 for value in ids)


def test_the_database_holds_no_session_that_works(off, on):
    """Whoever reads the database files finds only digests of the ids (CWE-312)."""
    for side, in_clear in ((off, True), (on, False)):
        with side.signed_in(ALICE) as alice:
            _, value = side.session(alice)
        files = [path for path in side.data.rglob("*") if path.is_file()]
        assert files
        if in_clear:
            with closing(sqlite3.connect(side.data / "range.db")) as db, db:
                rows = db.execute("SELECT id FROM sessions").fetchall()
            db.close()
            assert (value,) in rows
        else:
            found = [path for path in files if value.encode() in path.read_bytes()]
            assert found == []


def test_no_file_holds_a_password(off, on):
    """Passwords are kept as Argon2id only (guide: "Password Storage")."""
    with on.signed_in(ALICE):
        password = on.account(ALICE)["password"].encode()
    contents = [p.read_bytes() for p in on.data.rglob("*") if p.is_file()]
    assert not any(password in content for content in contents)
    assert any(b"$argon2id$" in content for content in contents)
    unguarded = (off.data / "range.db").read_bytes()
    assert ALICE["password"].encode() in unguarded


def set_cookies(side):
    page = {"origin": side.url, "sec-fetch-site": "same-origin"}
    with side.client(headers=page) as browser:
        answer = browser.post(side.sign_in_path, json=side.account(ALICE))
        return answer.headers.get_list("set-cookie")


def test_the_session_cookie_has_its_flags(off, on):
    """HttpOnly and SameSite; Secure comes with https (guide: "Secure Cookie
    Configuration")."""
    with on.signed_in(ALICE):
        pass
    (bare,) = set_cookies(off)
    assert "httponly" not in bare.lower()
    assert "samesite" not in bare.lower()
    (cookie,) = (c for c in set_cookies(on) if "session" in c)
    assert "httponly" in cookie.lower()
    assert "samesite=lax" in cookie.lower()
    assert "path=/" in cookie.lower()
    assert "domain" not in cookie.lower()


def test_the_apps_own_cookies_are_hardened(on):
    """A cookie that the vulnerable sign-in sets without flags leaves with them."""
    with on.client(headers={"origin": on.url}) as browser:
        answer = browser.post("/signin", json=ALICE)
    (cookie,) = answer.headers.get_list("set-cookie")
    assert cookie.startswith("session_id=")
    assert "httponly" in cookie.lower()
    assert "samesite=lax" in cookie.lower()


def test_the_apps_own_session_opens_nothing(on):
    """What the home-made sign-in hands out is no identity behind the guard."""
    with on.client(headers={"origin": on.url}) as browser:
        assert browser.post("/signin", json=ALICE).status_code == 200
        assert browser.get("/transfers").status_code == 401


def answers(side, path, *bodies):
    """Return what can be told apart in the answers: all but ids and dates."""
    seen = []
    with side.client() as mallory:
        for body in bodies:
            answer = mallory.post(path, json=body)
            text = answer.text
            if "json" in answer.headers.get("content-type", ""):
                fields = answer.json()
                fields.pop("request_id", None)
                text = str(fields).replace(body["email"], "<email>")
            headers = set(answer.headers) - {"date", "x-request-id"}
            seen.append((answer.status_code, text, sorted(headers)))
    return seen


def test_a_sign_in_does_not_tell_who_has_an_account(off, on):
    """Unknown address and wrong password give the same answer (CWE-204)."""
    with on.signed_in(ALICE):
        pass
    bodies = [
        {"email": ALICE["email"], "password": "not the password"},
        {"email": "nobody@example.com", "password": "not the password"},
    ]
    known, unknown = answers(off, off.sign_in_path, *bodies)
    assert known != unknown
    known, unknown = answers(on, on.sign_in_path, *bodies)
    assert known == unknown
    assert known[0] == 401


def test_a_registration_does_not_tell_who_has_an_account(off, on):
    """Known and new addresses get the same answer (CWE-204)."""
    with on.signed_in(ALICE):
        pass
    bodies = [
        {"email": ALICE["email"], "password": "a fresh pass phrase"},
        {"email": "newcomer@example.com", "password": "a fresh pass phrase"},
    ]
    known, new = answers(off, "/signup", *bodies)
    assert known[0] != new[0]
    known, new = answers(on, "/auth/register", *bodies)
    assert known == new
    assert known[0] == 202
    with on.client() as mallory:  # and the known account keeps its password
        answer = mallory.post("/auth/login", json=bodies[0])
        assert answer.status_code == 401


SPELLINGS = (
    "ALICE@example.com",
    "alice@EXAMPLE.COM",
    " alice@example.com ",
    "alice@example.com.",
    "alice@example.com\u200b",
    "\uff41lice@example.com",
    "alice\u00ad@example.com",
    "alic\u212f@example.com",
)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_of_an_address_takes_an_account(on, spelling):
    """A registration under another spelling of Alice's address neither changes her
    password nor signs the attacker in as Alice (CVE-2026-25480: folded keys)."""
    with on.signed_in(ALICE) as alice:
        me = alice.get("/auth/me").json()["id"]
    mallory = {"email": spelling, "password": "mallory's pass phrase"}
    with on.client() as client:
        client.post("/auth/register", json=mallory)
        answer = client.post("/auth/login", json=mallory)
        assert answer.status_code != 200 or answer.json()["id"] != me
        answer = client.post("/auth/login", json={**mallory, "email": ALICE["email"]})
        assert answer.status_code == 401
        assert client.post("/auth/login", json=on.account(ALICE)).status_code == 200


ELSEWHERE = (
    "https://evil.example/",
    "//evil.example/",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/%09/evil.example",
    "\t//evil.example",
    "https:evil.example",
    "http:///evil.example",
    "javascript:alert(1)",
    "/@evil.example/..//evil.example",
    "https://127.0.0.1@evil.example",
    "/x\r\nset-cookie: a=b",
)


@pytest.mark.parametrize("target", ELSEWHERE)
def test_a_sign_in_leads_nowhere_else(on, target):
    """``next`` leads within the site or is ignored (CVE-2021-32618, CVE-2023-49438)."""
    with on.signed_in(ALICE):
        pass
    page = {"origin": on.url, "sec-fetch-site": "same-origin", "accept": "text/html"}
    with on.client(headers=page) as browser:
        body = {**on.account(ALICE), "next": target}
        given = browser.post("/auth/login", data=body)
        assert leads_within(on, given)
        given = browser.post(
            "/auth/login", params={"next": target}, data=on.account(ALICE)
        )
        assert leads_within(on, given)
        given = browser.get("/auth/login", params={"next": target})  # signed in
        assert given.status_code == 303
        assert leads_within(on, given)


def leads_within(side, answer):
    """Return whether a browser stays at the site that answered."""
    assert answer.status_code in {200, 303, 302, 400}
    location = answer.headers.get("location", "/")
    assert "set-cookie: a=b" not in str(answer.headers)
    # What the WHATWG URL parser makes of it: tabs and newlines vanish, \ becomes /.
    plain = re.sub(r"[\t\r\n]", "", location).replace("\\", "/").strip()
    if plain.startswith("//") or re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:", plain):
        return plain.startswith(f"{side.url}/")
    return True


def test_the_unguarded_sign_in_leads_anywhere(off):
    with off.client() as browser:
        body = {**ALICE, "next": ELSEWHERE[0]}
        assert browser.post("/signin", data=body).headers["location"] == ELSEWHERE[0]
