"""What is decided once for each kind of principal."""

from ringfence import access
from ringfence.access.fields import verdict
from ringfence.access.fields.verdict import Gate


def test_each_kind_is_judged_once(as_somebody, monkeypatch):
    judged = []
    judge = verdict.judge
    monkeypatch.setattr(
        verdict, "judge", lambda *said: judged.append(said) or judge(*said)
    )
    gate = Gate({"notes": access.role("staff")})
    for _ in range(3):
        for name in ("ann", "bob"):
            with as_somebody(id=name):
                assert list(gate.closed()) == ["notes"]
        with as_somebody("admin"):
            assert not gate.closed()
        with as_somebody(anonymous=True):
            assert list(gate.closed()) == ["notes"]
    assert len(judged) == 3


def test_kinds_do_not_pile_up(as_somebody):
    gate = Gate({"notes": access.role("7")})
    for number in range(400):
        with as_somebody(str(number)):
            assert bool(gate.closed()) is (number != 7)
    assert len(gate._kinds) == 256


def test_scopes_count(as_somebody):
    gate = Gate({"notes": access.scope("orders:read")})
    with as_somebody(scopes=frozenset({"orders:read"})):
        assert not gate.closed()
    with as_somebody(scopes=frozenset({"orders:write"})):
        assert list(gate.closed()) == ["notes"]
