"""What passes is one value to the shells themselves."""

import json
import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.interpreters.asking import asking

from ringfence.errors import InjectionRefusedError
from ringfence.interpreters.shell.commands import SCRIPT
from ringfence.interpreters.shell.events import SYSTEM
from ringfence.interpreters.shell.judge import judge_text
from ringfence.interpreters.sink import here

SHELLS = [path for name in ("dash", "bash") if (path := shutil.which(name))]
# Each prints what it has taken for the argument.
TEMPLATES = st.sampled_from(
    [
        "printf '[%s]' GAP",
        "printf '[%s]' 'GAP'",
        "printf '[%s]' \"GAP\"",
        "(printf '[%s]' \"GAP\")",
        "true && X='GAP' && printf '[%s]' \"$X\"",
        "printf '[%s]' \"$(printf '%s' 'GAP')\"",
        "printf '[%s]' \"$(printf '%s' \"GAP\")\" # a comment",
        "printf '[%s]' ''GAP''",
        "printf '[%s]' \\\n  GAP 2>/dev/null",
    ]
)
VALUES = st.text(
    st.sampled_from("ab1 .-_=/+:,@%é字'\"\\$`;&|<>()#*?[]~{}!\t\n"),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(template=TEMPLATES, value=VALUES)
def test_what_passes_is_one_value(shell, tmp_path, template, value):
    if "$(" in template:
        value = value.rstrip("\n") or "x"  # which a shell cuts off itself
    script = template.replace("GAP", value)
    body = json.dumps({"filename": value}).encode()
    with asking(body, content_type=b"application/json"):
        try:
            judge_text(SYSTEM, SCRIPT, script, here())
        except InjectionRefusedError:
            return
    done = subprocess.run(
        [shell, "-c", script],
        cwd=tmp_path,
        env={"PATH": "/nowhere"},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.stdout == f"[{value}]".encode(), script
    assert not list(tmp_path.iterdir())
