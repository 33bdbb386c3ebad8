"""Values in filters and names mean themselves (RFC 4515, RFC 4514)."""

import ldap3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ldap3.operation.search import filter_to_string, search_operation
from ldap3.utils.dn import parse_dn

from ringfence import ldap
from ringfence.errors import InjectionRefusedError

# Examples of RFC 4515 section 4 and RFC 4514 section 4, values where they are escaped.
FILTERS = [
    (
        "(o={v})",
        "Parens R Us (for all your parenthetical needs)",
        r"(o=Parens R Us \28for all your parenthetical needs\29)",
    ),
    ("(cn=*{v}*)", "*", r"(cn=*\2a*)"),
    ("(filename={v})", r"C:\MyFile", r"(filename=C:\5cMyFile)"),
    ("(bin={v})", b"\0\0\0\4", r"(bin=\00\00\00\04)"),
    ("(sn={v})", "Lučić", "(sn=Lučić)"),
    ("(age>={v})", 5, "(age>=5)"),
    ("({v}=x)", "givenName", "(givenName=x)"),
    ("({v}=x)", "2.5.4.4", "(2.5.4.4=x)"),
    ("(&(a=b){v})", ldap.Filter("(c=d)"), "(&(a=b)(c=d))"),
    ("(!{v})", ldap.Filter("(c=d)"), "(!(c=d))"),
    ("(cn={v})", ldap.Filter("(c=d)"), r"(cn=\28c=d\29)"),
]
NAMES = [
    ("CN={v}", "a#b", r"CN=a\#b"),
    ("CN={v},O=x", "Sue, Grabbit and Runn", r"CN=Sue\, Grabbit and Runn,O=x"),
    ("CN={v},DC=net", "Before\rAfter", "CN=Before\rAfter,DC=net"),
    ("OU={v}+CN=x", 'a+b"c<d>e;f\\g=h', r"OU=a\+b\"c\<d\>e\;f\\g\=h+CN=x"),
    ("CN={v}", " #a ", r"CN=\ \#a\ "),
    ("CN={v}", "#a", r"CN=\#a"),
    ("CN={v}", "\0", r"CN=\00"),
    ("CN={v}", " ", r"CN=\ "),
    ("uid=x,{v}", ldap.Dn("dc=a,dc=b"), "uid=x,dc=a,dc=b"),
    ("uid={v}", ldap.Dn("dc=a,dc=b"), r"uid=dc\=a\,dc\=b"),
    ("{v}=x,dc=a", "uid", "uid=x,dc=a"),
]


@pytest.mark.parametrize(("template", "value", "expected"), FILTERS)
def test_filters(template, value, expected):
    found = ldap.filter(template, v=value)
    assert found == expected
    assert isinstance(found, ldap.Filter)


@pytest.mark.parametrize(("template", "value", "expected"), NAMES)
def test_names(template, value, expected):
    found = ldap.dn(template, v=value)
    assert found == expected
    assert isinstance(found, ldap.Dn)


@given(st.text(min_size=1, max_size=30))
def test_a_filter_holds_one_value(value):
    """What a client library reads out of it is what was put in."""
    text = ldap.filter("(cn={v})", v=value)
    never, scope = ldap3.DEREF_NEVER, ldap3.BASE
    options = {"types_only": False, "auto_escape": False, "auto_encode": True}
    request = search_operation("", text, scope, never, ["cn"], 0, 0, **options)
    match = request["filter"]["equalityMatch"]
    assert bytes(match["assertionValue"]).decode() == value
    assert filter_to_string(request["filter"]).startswith("(cn=")


@given(st.text(min_size=1, max_size=30))
def test_a_name_holds_one_value(value):
    name = ldap.dn("cn={v},dc=example", v=value)
    assert len(parse_dn(str(name).replace("\\00", "\\,"))) == 2


@pytest.mark.parametrize("template", ["({v}=x)", "(&({v}=x)(a=b))"])
@pytest.mark.parametrize("value", ["a=b)(c", "", "a b", "cn:dn:", "ä", 5, None])
def test_names_of_attributes(template, value):
    with pytest.raises(InjectionRefusedError):
        ldap.filter(template, v=value)
    with pytest.raises(InjectionRefusedError):
        ldap.dn("{v}=x", v=value)


@pytest.mark.parametrize("value", [None, ["a"], {"a": 1}, True, 1.5, "\ud800"])
def test_what_is_no_value(value):
    """JSON brings lists and objects where text is expected."""
    for fill, template in ((ldap.filter, "(a={v})"), (ldap.dn, "a={v}")):
        with pytest.raises(InjectionRefusedError) as raised:
            fill(template, v=value)
        assert raised.value.denial.status == 400


def test_bytes_in_a_name():
    with pytest.raises(InjectionRefusedError):
        ldap.dn("cn={v}", v=b"a")


@pytest.mark.parametrize("template", ["(a={v!r})", "(a={v:>5})", "(a={})", "(a={v.x})"])
def test_templates_hold_names_only(template):
    with pytest.raises(ValueError, match="a name only"):
        ldap.filter(template, v="x")


def test_values_that_do_not_fit():
    with pytest.raises(TypeError, match="asks for v"):
        ldap.filter("(a={v})")
    with pytest.raises(TypeError, match="no place for w"):
        ldap.filter("(a={v})", v="x", w="y")
