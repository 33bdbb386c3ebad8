"""Which filters, names and sign-ins are refused, and that ldap3 is guarded."""

from urllib.parse import urlencode

import ldap3
import pytest

from ringfence import ldap
from ringfence.errors import InjectionRefusedError, SettingsError
from ringfence.exchange import Exchange, active
from ringfence.interpreters.ldap import ldap3 as driver
from ringfence.interpreters.ldap.judge import judge_dn, judge_filter
from ringfence.interpreters.settings import InterpretersSettings
from ringfence.interpreters.sink import Here, Sink, Sinks

SINK = Sink("ldap", "a test")


async def never():
    raise NotImplementedError


def put(template, value):
    """Text that stands in no code: the judge lets constants pass."""
    return template.replace("{}", value)


def exchange(*, too_much=False, headers=(), **query):
    scope = {"type": "http", "method": "GET", "path": "/", "headers": list(headers)}
    scope["query_string"] = urlencode(query).encode()
    made = Exchange(scope, never)
    made.too_much = too_much
    return made


def is_refused(judge, text, sender):
    try:
        judge(text, Here(sender), SINK)
    except InjectionRefusedError:
        return True
    return False


@pytest.mark.parametrize(
    ("value", "template"),
    [
        ("a*", "(uid={})"),
        ("*", "(uid={})"),
        ("**", "(uid={})"),
        ("x)(uid=y", "(&(a=b)(uid={}))"),
        ("a)", "(uid={})"),
        ("a\0", "(uid={})"),
        ("(uid=x)", "(|{}(a=b))"),
    ],
)
def test_filters_that_are_refused(value, template):
    text = template.format(value)
    assert is_refused(judge_filter, text, exchange(q=value))
    assert is_refused(judge_filter, text.encode(), exchange(q=value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("O'Brien", put("(cn={})", "O'Brien")),
        ("person", put("(objectClass={})", "person")),
        ("*", put("(&(objectClass=*)(uid={}))", "\\2a")),
        ("*", put("(cn=*{}*)", "\\2a")),
        ("&", put("(&(a=b)(uid={}))", "&")),
        ("x)(uid=*", ldap.filter("(a=x\\29\\28uid=\\2a{v})", v="x)(uid=*")),
        ("(a", None),
        ("(a", b""),
    ],
)
def test_filters_that_pass(value, text):
    assert not is_refused(judge_filter, text, exchange(q=value))


def test_headers_that_take_anything():
    """Node's fetch sends ``accept-language: *``."""
    sender = exchange(headers=[(b"accept-language", b"*")], q="ann")
    text = put("(&(mail=*)(uid={}))", "ann")
    assert not is_refused(judge_filter, text, sender)


@pytest.mark.parametrize(
    "value", ["+5", "x,ou=admins", "x+cn=y", 'x"', "x;y", "x\\", "x\0"]
)
def test_names_that_are_refused(value):
    assert is_refused(judge_dn, f"uid={value},dc=example", exchange(q=value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("O'Brien", put("uid={},dc=example", "O'Brien")),
        ("uid=x,dc=example", put("uid=x,{}", "dc=example")),
        ("a, b", put("uid=a\\, b{}", ",dc=example")),
        ("x,y", ldap.dn("uid={v},dc=a", v="x,y")),
        ("+5 dioptre", put("uid={},dc=a", "\\+5 dioptre")),
        ("x,y", ""),
    ],
)
def test_names_that_pass(value, text):
    assert not is_refused(judge_dn, text, exchange(q=value))


def test_while_nobody_knows_all():
    """What a request has brought is known in part only: built text is refused."""
    sender = exchange(too_much=True)
    assert is_refused(judge_filter, put("(a={}", "b)"), sender)
    assert is_refused(judge_dn, put("a={}", "b"), sender)
    assert not is_refused(judge_filter, "(c=d)", sender)
    assert not is_refused(judge_dn, "c=d", sender)


def test_a_template_that_holds_input():
    """Who writes input into the template gets no safe filter."""
    token = active.set(exchange(q="x)(uid=*"))
    active.get().sinks = Sinks(InterpretersSettings(), lambda event: None)
    try:
        for fill, template in ((ldap.filter, "(a={}{{v}})"), (ldap.dn, "a={},b={{v}}")):
            value = "x)(uid=*" if fill is ldap.filter else "x,y"
            active.get().scope["query_string"] = urlencode({"q": value}).encode()
            active.get().inputs = None
            with pytest.raises(InjectionRefusedError):
                fill(template.format(value), v="v")
    finally:
        active.reset(token)


def test_guarded_once():
    driver.arm()
    search = ldap3.Connection.search
    driver.arm()
    assert ldap3.Connection.search is search


def test_unknown_version(monkeypatch):
    """Where arguments are taken in another way, the application does not start."""
    monkeypatch.setattr(ldap3.Connection, "search", lambda self, text: None)
    with pytest.raises(SettingsError, match="install ldap3"):
        driver.arm()


def test_what_cannot_be_judged_is_refused():
    def broken(text, whom, sink):
        raise RuntimeError

    sender = exchange()
    with pytest.raises(InjectionRefusedError):
        driver._check("search", {"search_base": broken}, {}, Here(sender))
    assert "could not be judged" in sender.denial.private
