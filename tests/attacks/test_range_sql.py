"""The range's holes into its database (guide: "SQL Injection"; CWE-89)."""

import pytest

GUIDE, DROPPING, UNION, ORACLE, SECOND = """\
' OR '1'='1
'; DROP TABLE users; --
' UNION SELECT id, password FROM users --
(CASE WHEN 1 THEN (SELECT password FROM users) ELSE id END)
nobody' UNION SELECT email, password FROM users --
""".splitlines()


def names(answer):
    return [row["name"] for row in answer.json()]


def is_refused(answer):
    return answer.status_code == 403 and answer.json()["code"] == "interpreters.sql"


def test_the_guides_login_answers_with_everybody(off, on):
    with off.client() as mallory:
        assert len(mallory.post("/login", json={"email": GUIDE}).json()) >= 3
    with on.client() as mallory:
        for attack in (GUIDE, DROPPING):
            assert is_refused(mallory.post("/login", json={"email": attack}))
            assert is_refused(mallory.post("/login", data={"email": attack}))


@pytest.mark.parametrize("side", ["off", "on"])
def test_honest_use_is_the_same(side, request):
    with request.getfixturevalue(side).client() as alice:
        found = alice.post("/login", json={"email": "alice@example.com"}).json()
        assert [row["name"] for row in found] == ["Alice"]
        assert len(alice.get("/sort?by=id").json()) >= 3
        assert len(alice.get("/sort?by=name").json()) >= 3
        assert names(alice.get("/people?q=ali")) == ["Alice"]
        assert alice.get("/orders/find?item=a lamp").json()[0]["id"] == "1001"
        assert alice.get("/orders/count?user=1").json()[0] >= 1


def test_orders_searches_and_counts_carry_no_statements(off, on):
    attacks = (
        ("/sort", {"by": ORACLE}),
        ("/people", {"q": UNION}),
        ("/orders/find", {"item": UNION}),
        ("/orders/count", {"user": "1 OR 1=1"}),
        ("/orders/count", {"user": "0 UNION SELECT password FROM users"}),
    )
    for path, query in attacks:
        with off.client() as mallory:
            assert mallory.get(path, params=query).status_code == 200
        with on.client() as mallory:
            assert is_refused(mallory.get(path, params=query))


def test_a_script_drops_no_table(off, on):
    """Where several statements may stand, a second one does."""
    attack = {"id": "1", "name": "x' WHERE id = 0; DROP TABLE sessions; --"}
    with off.client() as mallory:
        assert mallory.post("/rename", json=attack).status_code == 200
    with on.client() as mallory:
        assert is_refused(mallory.post("/rename", json=attack))


def test_what_was_stored_becomes_no_statement(off, on):
    """Second order: nothing of it stands in the request that runs it."""
    for side in (off, on):
        with side.client() as mallory:
            assert mallory.post("/searches", json={"q": "Bob"}).status_code == 200
            assert names(mallory.get("/searches/run")) == ["Bob"]
            assert mallory.post("/searches", json={"q": SECOND}).status_code == 200
            answer = mallory.get("/searches/run")
        if side is off:
            assert "123456" in names(answer)
        else:
            assert is_refused(answer)
