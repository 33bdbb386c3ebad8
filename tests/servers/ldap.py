"""A real OpenLDAP for tests: Debian's ``slapd``, without root, in a folder of its own.

It takes no other package along and needs no configuration of the system's; where it is
not installed, ``apt-get install slapd`` brings it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.attacks.serving import await_port, free_port

BASE = "dc=example,dc=org"
PEOPLE = f"ou=people,{BASE}"
MANAGER = f"cn=manager,{BASE}"
PASSWORD = "the manager's pass phrase"

_CONFIGURATION = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/slapd.pid
argsfile {folder}/slapd.args
database mdb
maxsize 10485760
suffix "{base}"
rootdn "{manager}"
rootpw "{password}"
directory {folder}/data
"""
_ENTRIES = f"""
dn: {BASE}
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: {PEOPLE}
objectClass: organizationalUnit
ou: people

dn: ou=admins,{BASE}
objectClass: organizationalUnit
ou: admins
"""


@dataclass(frozen=True, slots=True)
class Directory:
    """A running directory at ``port`` of loopback."""

    port: int


def entry(uid: str, name: str, password: str, branch: str = PEOPLE) -> str:
    """Return a person as LDIF."""
    return (
        f"\ndn: uid={uid},{branch}\nobjectClass: inetOrgPerson\nuid: {uid}\n"
        f"cn: {name}\nsn: {name}\nuserPassword: {password}\n"
    )


@contextmanager
def running_directory(*people: str) -> Iterator[Directory]:
    """Start a directory with people in it; stop it afterwards.

    Skips the test where ``slapd`` is not installed, and fails it where ``CI`` is set.
    """
    places = os.environ.get("PATH", "") + ":/usr/sbin"
    slapd = shutil.which("slapd", path=places)
    if slapd is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("slapd is not installed: apt-get install slapd")
    with tempfile.TemporaryDirectory(prefix="ldap-") as name:
        folder = Path(name)
        (folder / "data").mkdir()
        configuration = folder / "slapd.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                folder=folder, base=BASE, manager=MANAGER, password=PASSWORD
            )
        )
        entries = folder / "entries.ldif"
        entries.write_text(_ENTRIES + "".join(people), "utf-8")
        fill = [slapd, "-Ta", "-q", "-f", str(configuration), "-l", str(entries)]
        subprocess.run(fill, check=True, timeout=60)
        port = free_port()
        command = [slapd, "-f", str(configuration), "-d", "0"]
        command += ["-h", f"ldap://127.0.0.1:{port}"]
        log = folder / "log"
        with log.open("w") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            await_port(process, port, log)
            yield Directory(port)
        finally:
            process.kill()  # nothing of it is kept
            process.wait()
