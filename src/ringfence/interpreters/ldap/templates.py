"""The safe way to write a filter or a distinguished name: a template and values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from string import Formatter

from ringfence.interpreters.ldap.judge import judge_dn, judge_filter
from ringfence.interpreters.ldap.text import (
    Dn,
    Filter,
    escape_in_dn,
    escape_in_filter,
)
from ringfence.interpreters.objection import object_to
from ringfence.interpreters.sink import Sink, here

SINK = Sink("ldap", "ldap")

# A name of an attribute or its OID; options behind ``;`` are left to the template.
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+", re.ASCII)
_PARENTHESIS = re.compile(r"[()]")
_RDN_BEGINS = re.compile(r"(?<!\\)[,+]")


def filter(template: str, **values: object) -> Filter:  # noqa: A001 - LDAP's word
    """Return a search filter with values in it.

    Stops ``*)(uid=*``, which finds everybody, and a lone ``*``::

        ldap.filter("(&(objectClass=person)(uid={uid}))", uid=uid)
        ldap.filter("(cn=*{part}*)", part=q)

    Args:
        template: written in the code, with names in braces where values go.
        values: text, numbers or bytes, escaped; a ``Filter``, which goes in as it is
            where a whole filter stands.

    Returns:
        The filter, which the guard lets pass.

    Raises:
        InjectionRefusedError: a name of an attribute that is none, or no value at all
            (a list, an object); answered with 400. Also where input was written into
            the template itself.
        TypeError, ValueError: the template and the values do not belong together.

    Source: RFC 4515; CWE-90; ASVS 5.0 1.2.6.

    Not covered: which attribute and which branch may be asked about: choose these from
    a list of your own.
    """
    whom = here()
    if whom is not None:
        judge_filter(template, whom, SINK)
    return Filter("".join(_filled(template, values, _in_filter)))


def dn(template: str, **values: object) -> Dn:
    """Return a distinguished name with values in it.

    Stops ``x,ou=admins``, which moves an entry to another branch::

        ldap.dn("uid={uid},ou=people,dc=example,dc=org", uid=uid)

    Args:
        template: written in the code, with names in braces where values go.
        values: text or numbers, escaped; a ``Dn``, which goes in as it is.

    Returns:
        The name, which the guard lets pass.

    Raises:
        InjectionRefusedError: as for ``filter``.
        TypeError, ValueError: the template and the values do not belong together.

    Source: RFC 4514; CWE-90; ASVS 5.0 1.2.6.

    Not covered: whether the visitor may reach the entry that is named.
    """
    whom = here()
    if whom is not None:
        judge_dn(template, whom, SINK)
    return Dn("".join(_filled(template, values, _in_dn)))


def _filled(
    template: str,
    values: Mapping[str, object],
    fill: Callable[[str, object], str],
) -> Iterator[str]:
    """Yield the pieces of a filled template."""
    unused = set(values)
    before = ""
    for literal, name, spec, conversion in Formatter().parse(template):
        yield literal
        before += literal
        if name is None:
            continue
        if spec or conversion or not name.isidentifier():
            message = f"{{{name}}} in a template can be a name only, with nothing more"
            raise ValueError(message)
        if name not in values:
            raise TypeError(f"the template asks for {name}, which was not given")
        unused.discard(name)
        yield fill(before, values[name])
        before += "\0"  # a value, of which nothing is syntax
    if unused:
        raise TypeError(f"the template has no place for {', '.join(sorted(unused))}")


def _in_filter(before: str, value: object) -> str:
    begun = _PARENTHESIS.split(before)[-1]
    if isinstance(value, Filter) and not begun.strip("&|!\0 "):
        return value
    if "=" not in begun:
        return _attribute(value)
    return escape_in_filter(_value(value))


def _in_dn(before: str, value: object) -> str:
    begun = _RDN_BEGINS.split(before)[-1]
    if isinstance(value, Dn) and not begun.strip():
        return value
    if "=" not in begun:
        return _attribute(value)
    text = _value(value)
    if isinstance(text, bytes):
        object_to(SINK, "bytes in a distinguished name")
    return escape_in_dn(text)


def _attribute(value: object) -> str:
    if not isinstance(value, str) or _ATTRIBUTE.fullmatch(value) is None:
        object_to(SINK, "a name of an attribute that is none")
    return value


def _value(value: object) -> str | bytes:
    if isinstance(value, bool) or not isinstance(value, (str, bytes, int)):
        object_to(SINK, f"a {type(value).__name__} where one value is expected")
    if isinstance(value, str) and not value.isprintable():
        try:
            value.encode()
        except UnicodeEncodeError:
            object_to(SINK, "text that is no Unicode")
    return str(value) if isinstance(value, int) else value
