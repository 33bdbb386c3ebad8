"""LDAP injection: what a request brings becomes part of a filter or a name (CWE-90),
shown on a real OpenLDAP; and sign-ins that no password is looked at for (CWE-287)."""

import asyncio
import contextlib
import functools

import ldap3
import pytest
from ldap3.core.exceptions import LDAPException
from ldap3.utils.conv import escape_filter_chars
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.attacks.twins import twins
from tests.servers.ldap import MANAGER, PASSWORD, PEOPLE, entry, running_directory

from ringfence import ldap

HIDDEN = f"ou=hidden,{PEOPLE}"
REFUSED = "interpreters.ldap"
ODD = 'Smith (old) \\ *star*, O\'Brien + "q" <x>; #1=ü'

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ldap3")


class Running:
    port = 0


def connected(user=MANAGER, password=PASSWORD):
    server = ldap3.Server("127.0.0.1", Running.port, get_info=ldap3.NONE)
    return ldap3.Connection(server, user, password, raise_exceptions=False)


@contextlib.contextmanager
def closed_in_the_end(connection):
    try:
        yield
    finally:
        connection.unbind()


def blocking(handler):
    @functools.wraps(handler)
    async def endpoint(request):
        try:
            return JSONResponse(await asyncio.to_thread(handler, request.query_params))
        except LDAPException as error:
            return JSONResponse({"error": type(error).__name__})

    return endpoint


def found(base, text, **options):
    with connected() as connection:
        connection.search(base, text, attributes=["uid"], **options)
        return sorted(str(each.uid) for each in connection.entries)


@blocking
def by_uid(query):
    return found(PEOPLE, f"(uid={query['uid']})")


@blocking
def by_uid_and_kind(query):
    return found(PEOPLE, f"(&(objectClass=person)(uid={query['uid']}))")


@blocking
def sign_in_by_filter(query):
    text = "(&(uid={})(userPassword={}))".format(query["uid"], query["password"])
    return found(PEOPLE, text)


@blocking
def below(query):
    base = f"uid={query['uid']},{PEOPLE}"
    return found(base, "(objectClass=*)", search_scope=ldap3.BASE)


@blocking
def paged(query):
    with connected() as connection:
        text = f"(uid={query['uid']})"
        entries = connection.extend.standard.paged_search(
            PEOPLE, text, attributes=["uid"], paged_size=5, generator=False
        )
        return [each["dn"] for each in entries]


@blocking
def remove(query):
    with connected() as connection:
        connection.delete(f"uid={query['uid']},{PEOPLE}")
        return connection.result["description"] == "success"


@blocking
def sign_in(query):
    """What a bind says is taken for the answer."""
    connection = connected(query["user"], query["password"])
    with closed_in_the_end(connection):
        return connection.bind()


@blocking
def sign_in_again(query):
    connection = connected(None, None)
    with closed_in_the_end(connection):
        connection.bind()
        return connection.rebind(query["user"], query["password"])


@blocking
def safely(query):
    return found(PEOPLE, ldap.filter("(uid={uid})", uid=query["uid"]))


@blocking
def safely_part(query):
    text = ldap.filter("(&(objectClass=person)(cn=*{part}*))", part=query["uid"])
    return found(PEOPLE, text)


@blocking
def safely_below(query):
    base = ldap.dn("uid={uid},{people}", uid=query["uid"], people=ldap.Dn(PEOPLE))
    return found(base, "(objectClass=*)", search_scope=ldap3.BASE)


@blocking
def escaped_by_hand(query):
    text = f"(&(objectClass=*)(cn=*{escape_filter_chars(query['uid'])}*))"
    return found(PEOPLE, text)


ATTACKS = [
    (by_uid, {"uid": "*"}),
    (by_uid, {"uid": "a*"}),
    (by_uid_and_kind, {"uid": "*)(uid=a*"}),
    (sign_in_by_filter, {"uid": "alice)(|(uid=*", "password": "x)"}),
    (below, {"uid": "boss,ou=hidden"}),
    (paged, {"uid": "*"}),
    (remove, {"uid": "victim,ou=hidden"}),
    (sign_in, {"user": "", "password": "anything"}),
    (sign_in_again, {"user": "", "password": "anything"}),
]
SAFE = (safely, safely_part, safely_below, escaped_by_hand)


def routes():
    for handler in {*(each for each, _ in ATTACKS), *SAFE}:
        yield Route(f"/{handler.__name__}", handler)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    hidden = f"\ndn: {HIDDEN}\nobjectClass: organizationalUnit\nou: hidden\n"
    people = [
        entry("alice", "Alice", "123456"),
        entry("bob", "Bob", "letmein"),
        hidden,
        entry("boss", "Boss", "x", HIDDEN),
        entry("victim", "Victim", "x", HIDDEN),
    ]
    with running_directory(*people) as directory:
        Running.port = directory.port
        with connected() as connection:
            names = {"cn": ODD, "sn": "Odd", "uid": ODD}
            connection.add(
                ldap.dn("uid={u},{p}", u=ODD, p=ldap.Dn(PEOPLE)), "inetOrgPerson", names
            )
            assert connection.result["description"] == "success"
        with twins(lambda: list(routes()), tmp_path_factory.mktemp("data")) as clients:
            yield clients


@pytest.mark.parametrize(("handler", "query"), ATTACKS)
def test_injection(both, handler, query):
    """What was sent finds, removes or signs in with a bare application, and does
    nothing with a guarded one."""
    path = f"/{handler.__name__}"
    got = both.off.get(path, params=query)
    assert got.status_code == 200, got.text
    assert got.json() not in ([], False)
    assert "error" not in got.text
    refused = both.on.get(path, params=query)
    assert refused.status_code in (400, 403), refused.text
    assert refused.json()["code"] == REFUSED


def test_an_empty_password_is_refused(both):
    """RFC 4513 5.1.2: a name with an empty password signs in nobody, and succeeds.
    ldap3 raises for it; a guarded handler that catches that refuses all the same."""
    query = {"user": f"uid=alice,{PEOPLE}", "password": ""}
    assert both.on.get("/sign_in", params=query).json()["code"] == REFUSED


@pytest.mark.parametrize(("password", "expected"), [("123456", True), ("wrong", False)])
def test_honest_sign_in(both, password, expected):
    query = {"user": f"uid=alice,{PEOPLE}", "password": password}
    for client in (both.off, both.on):
        assert client.get("/sign_in", params=query).json() is expected


@pytest.mark.parametrize("path", ["/by_uid", "/by_uid_and_kind", "/below", "/safely"])
def test_honest_search(both, path):
    for client in (both.off, both.on):
        assert client.get(path, params={"uid": "alice"}).json() == ["alice"]


@pytest.mark.parametrize("path", ["/safely", "/safely_part", "/safely_below"])
def test_safe_way_finds_odd_names(both, path):
    """Whatever a name holds, it is found by it and by nothing else."""
    for client in (both.off, both.on):
        assert client.get(path, params={"uid": ODD}).json() == [ODD]


@pytest.mark.parametrize(
    "text", ["*", "*)(uid=*", "(", "\\", "a,b=c+d", "O'Brien ж 🙂"]
)
@pytest.mark.parametrize("path", ["/safely", "/safely_below"])
def test_safe_way_takes_any_text(both, path, text):
    for client in (both.off, both.on):
        answer = client.get(path, params={"uid": text})
        assert answer.json() in ([], {"error": "LDAPInvalidDnError"}), answer.text


@pytest.mark.parametrize("text", ["*", "(old)", "\\ *", "Ali", "objectClass"])
def test_other_ways_to_escape(both, text):
    """ldap3's own escaping is as good, and raises no alarm."""
    for client in (both.off, both.on):
        answer = client.get(
            "/escaped_by_hand", params={"uid": text}, headers={"accept-language": "*"}
        )
        assert isinstance(answer.json(), list), answer.text
