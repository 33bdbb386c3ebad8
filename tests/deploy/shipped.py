"""Servers that run with the files of ``deploy``."""

import os
import re
import shutil
import subprocess
from contextlib import contextmanager

import pytest
from tests.deploy.described import DEPLOY
from tests.servers.valkey import running_valkey

CONF = DEPLOY / "valkey" / "valkey.conf"
USERS = DEPLOY / "valkey" / "users.acl"
TESTER = "tester"
MISSING = (
    "make-secrets needs openssl; install it, on Debian with: apt-get install openssl"
)


def make_secrets(folder, **environ):
    """Run ``make-secrets`` as the README tells; return its folder."""
    if shutil.which("openssl") is None:
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    done = subprocess.run(
        [DEPLOY / "make-secrets", folder],
        env={"PATH": os.environ["PATH"], "GROUP": str(os.getegid()), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def directives():
    """Return the lines of ``valkey.conf``, each as a name and its value."""
    lines = [
        line for line in CONF.read_text().splitlines() if line[:1] not in {"", "#"}
    ]
    return [tuple(line.split(None, 1)) for line in lines]


@contextmanager
def running_shipped_valkey(folder, users):
    """Run a Valkey with ``valkey.conf`` less TLS, for which the wheel's is not built.

    Args:
        folder: for its files.
        users: the text of ``users.acl``; its default user is the test's own meanwhile,
            and so is ``TESTER``.
    """
    conf, acl = folder / "valkey.conf", folder / "users.acl"
    placed = {"port", "aclfile", "dir"}
    kept = [
        f"{name} {value}"
        for name, value in directives()
        if not name.startswith("tls-") and name not in placed
    ]
    conf.write_text("\n".join(kept) + "\n")
    all_rights = "on nopass ~* &* +@all"
    text = re.sub(r"user default .*", f"user default {all_rights}", users)
    acl.write_text(f"{text}user {TESTER} {all_rights}\n")
    arguments = ("--include", str(conf), "--aclfile", str(acl))
    with running_valkey(*arguments, "--appendonly", "yes") as server:
        yield server
