"""Searches and names in an LDAP directory in which values stay values.

from ringfence import ldap

    found = ldap.filter("(&(objectClass=person)(uid={uid}))", uid=request_uid)
    connection.search(BASE, found)
    Connection(server, ldap.dn("uid={uid},ou=people,dc=example", uid=uid), password)
"""

from ringfence.interpreters.ldap.templates import dn, filter  # noqa: A004 - LDAP's word
from ringfence.interpreters.ldap.text import Dn, Filter

__all__ = ["Dn", "Filter", "dn", "filter"]
