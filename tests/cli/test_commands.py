import io
import json
import os
import socket
import stat
import subprocess
import sys

import pytest

from ringfence.cli.main import main

PASSWORD = "a password that is long enough"


@pytest.fixture
def run(here, capsys):
    """Run a command line; return its exit code and what it printed."""

    def run(*words):
        code = main(words)
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return code, printed.out, printed.err

    return run


@pytest.fixture
def typed(monkeypatch):
    def typed(text):
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))

    return typed


def test_plan_prints_every_entry_point(run):
    code, out, _ = run("plan", "garden:app")
    assert code == 0
    assert "GET, HEAD" in out
    assert "/auth/login" in out
    assert "home" in out


def test_plan_fits_the_screen_where_there_is_one(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "90")
    _, out, _ = run("plan", "garden:app")
    routes, _, _ = out.partition("\n\n")  # below stands what goes round ownership here
    assert max(map(len, routes.splitlines())) <= 90
    assert "admin  operator" in out


def test_plan_speaks_json(run):
    code, out, _ = run("plan", "garden:app", "--format", "json")
    document = json.loads(out)
    assert code == 0
    assert document["version"] == 1
    assert document["roles"] == {"admin": ["operator"], "operator": []}
    home = next(each for each in document["routes"] if each["path"] == "/")
    assert home["policy"] == "public"


def test_plan_opens_nothing(run, here):
    run("plan", "garden:app")
    assert sorted(path.name for path in here.iterdir()) in (
        ["garden.py"],
        ["__pycache__", "garden.py"],
    )


def test_an_application_that_cannot_be_guarded_is_a_finding(run, here):
    text = "from garden import unfinished\napp = unfinished()\n"
    (here / "forgetful.py").write_text(text)
    code, _, err = run("plan", "forgetful:app")
    assert code == 1
    assert "/forgotten" in err
    assert "garden.py" in err


TARGETS = {
    "garden:bare": "bare = Guard(bare)",
    "garden:ap": "did you mean app?",
    "garden:five": "of type int",
    "gardn:app": "no module 'gardn'",
    "garden.app": "write module:attribute",
    "garden.py:app": "no module",
    "./garden.py": "as in garden:app",
    ":app": "write module:attribute",
    "garden:": "write module:attribute",
    "": "as in main:app",
}


@pytest.mark.parametrize("command", ["plan", "serve", "dev"])
@pytest.mark.parametrize(("target", "expected"), TARGETS.items())
def test_a_target_that_is_no_guard_is_told_what_to_write(
    run, monkeypatch, command, target, expected
):
    monkeypatch.setenv("RINGFENCE_ENV", "development")
    code, _, err = run(command, target)
    assert code == 2
    assert expected in err


def test_a_module_of_the_target_that_is_missing_shows_its_trace(here):
    """Not ours to explain: the trace is what helps."""
    (here / "needy.py").write_text("import no_such_library\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        main(["plan", "needy:app"])


def test_a_wrong_declaration_is_told_with_its_place(run, here):
    """Of forty models the one that has to be changed."""
    lines = ("from ringfence import access", "", "access.rows(access.public)")
    (here / "needy.py").write_text("\n".join(lines))
    code, _, err = run("plan", "needy:app")
    assert code == 2
    assert "say who writes them" in err
    assert err.splitlines()[-1] == f"  {here / 'needy.py'}:3"


def test_wrong_settings_are_told(run, monkeypatch):
    monkeypatch.setenv("RINGFENCE_TRAFIC_MAX_BODY", "1")
    code, _, err = run("plan", "garden:app")
    assert code == 2
    assert err.startswith("ringfence: RINGFENCE_TRAFIC_MAX_BODY")


def test_production_is_not_served_unsafely(run):
    code, _, err = run("serve", "garden:app")
    assert code == 2
    assert "RINGFENCE_KEYS_FILE" in err
    assert "ringfence dev" in err


@pytest.mark.parametrize("command", ["serve", "dev"])
def test_no_workers_are_refused_with_the_reason(run, command):
    code, _, err = run(command, "garden:app", "--workers", "0")
    assert code == 2
    assert "1 or more" in err


def test_workers_do_not_begin_anew_with_each_file(run):
    code, _, err = run("dev", "garden:app", "--workers", "2", "--reload")
    assert code == 2
    assert "--reload" in err


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.com", "::"])
@pytest.mark.parametrize("command", ["serve", "dev"])
def test_development_is_served_to_this_machine_only(run, monkeypatch, command, host):
    monkeypatch.setenv("RINGFENCE_ENV", "development")
    code, _, err = run(command, "garden:app", "--host", host)
    assert code == 2
    assert "this machine only" in err


def test_dev_does_not_overrule_production(run, monkeypatch):
    monkeypatch.setenv("RINGFENCE_ENV", "production")
    code, _, err = run("dev", "garden:app")
    assert code == 2
    assert "ringfence serve" in err


def test_dev_does_not_serve_code_that_insists_on_production(run, here, monkeypatch):
    monkeypatch.setenv("RINGFENCE_ENV", "development")
    text = (
        "from garden import bare\nfrom ringfence import Guard, Settings\n"
        "app = Guard(bare, Settings(env='production'))\n"
    )
    (here / "forgetful.py").write_text(text)
    code, _, err = run("dev", "forgetful:app")
    assert code == 2
    assert "sets env itself" in err


def test_a_busy_port_is_told_with_the_cure(run, monkeypatch):
    monkeypatch.setenv("RINGFENCE_ENV", "development")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = run("dev", "garden:app", "--port", str(port))
    assert code == 2
    assert f"--port {port + 1}" in err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--port", "70000"], "no port"),
        (["--port", "-1"], "no port"),
        (["--host", "127.0.0.1.2"], "this machine only"),
    ],
)
def test_an_impossible_address_is_told(run, monkeypatch, words, expected):
    monkeypatch.setenv("RINGFENCE_ENV", "development")
    code, _, err = run("dev", "garden:app", *words)
    assert code == 2
    assert expected in err


@pytest.mark.parametrize(
    "words",
    [["nonsense"], ["plan"], ["plan", "a:b", "--format", "xml"], ["dev", "--x"]],
)
def test_a_command_that_is_none_could_not_run(run, words):
    code, _, _ = run(*words)
    assert code == 2


def test_keys_are_made_once_for_this_user_only(run, here):
    code, out, _ = run("keys", "create", "keys.json")
    assert code == 0
    assert f"RINGFENCE_KEYS_FILE={here / 'keys.json'}" in out
    assert stat.S_IMODE((here / "keys.json").stat().st_mode) == 0o600
    made = (here / "keys.json").read_bytes()
    code, _, err = run("keys", "create", "keys.json")
    assert code == 2
    assert "exists already" in err
    assert (here / "keys.json").read_bytes() == made


def test_an_account_is_made_and_listed(run, typed, here):
    typed(PASSWORD + "\n")
    words = ["accounts", "create", "--email", "Ann@example.com", "--password-stdin"]
    code, out, _ = run(*words, "--role", "operator", "--role", "staff")
    assert code == 0
    assert "Ann@example.com (operator, staff)" in out
    code, out, _ = run("accounts", "list", "--format", "json")
    assert code == 0
    account = json.loads(out)
    assert account["email"] == "Ann@example.com"
    assert account["roles"] == ["operator", "staff"]
    code, out, _ = run("accounts", "list")
    assert account["id"] in out
    assert "Ann@example.com" in out


def test_an_account_is_made_in_a_tenant_and_moved(run, typed, here):
    def listed():
        return json.loads(run("accounts", "list", "--format", "json")[1])["tenant"]

    typed(PASSWORD + "\n")
    email = ["--email", "ann@example.com"]
    words = [*email, "--password-stdin", "--tenant", "acme"]
    code, out, _ = run("accounts", "create", *words)
    assert (code, "(no roles, tenant acme)" in out) == (0, True)
    assert listed() == "acme"
    assert "acme" in run("accounts", "list")[1]
    code, out, _ = run("accounts", "tenant", *email, "globex")
    assert (code, out) == (0, "ann@example.com belongs to the tenant globex now.\n")
    assert listed() == "globex"
    code, out, _ = run("accounts", "tenant", *email, "")
    assert (code, out) == (0, "ann@example.com belongs to no tenant now.\n")
    assert listed() == ""
    lines = (here / "var" / "audit.jsonl").read_text().splitlines()
    moved = [json.loads(line) for line in lines[1:]]
    assert {(e["event"], e["by"]) for e in moved} == {("authz_change", "command line")}
    code, _, err = run("accounts", "tenant", *email, "a b")
    assert (code, "tenant" in err) == (1, True)
    code, _, err = run("accounts", "tenant", "--email", "bob@example.com", "acme")
    assert (code, "There is no account" in err) == (1, True)
    assert listed() == ""


def test_the_ledger_knows_who_made_an_account_and_no_password(run, typed, here):
    typed(PASSWORD + "\n")
    run("accounts", "create", "--email", "ann@example.com", "--password-stdin")
    line = (here / "var" / "audit.jsonl").read_text()
    assert json.loads(line)["event"] == "user_created"
    assert json.loads(line)["by"] == "command line"
    written = [path.read_bytes() for path in (here / "var").iterdir()]
    assert not any(PASSWORD.encode() in content for content in written)


def test_an_address_that_is_taken_is_refused(run, typed):
    words = ["accounts", "create", "--email", "ann@example.com", "--password-stdin"]
    typed(PASSWORD + "\n")
    run(*words)
    typed(PASSWORD + "\n")
    code, _, err = run(*words)
    assert code == 1
    assert "There is an account" in err


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("opperator", "did you mean operator?"),
        ("beekeeper", "known: admin, operator"),
        ("admin", ""),
        ("operator", ""),
    ],
)
def test_a_role_that_no_setting_names_is_doubted_and_given(run, typed, role, expected):
    """A mistyped role would otherwise be found out by its owner, as a 403."""
    typed(PASSWORD + "\n")
    words = ["--email", "a@example.com", "--password-stdin", "--role", role]
    code, out, err = run("accounts", "create", *words)
    assert code == 0
    assert f"({role})" in out
    assert expected in err
    assert bool(err) == bool(expected)


@pytest.mark.parametrize(
    ("words", "password", "expected"),
    [
        (["--email", "nobody"], PASSWORD, "email"),
        (["--email", "a@example.com", "--role", "Staff!"], PASSWORD, "roles"),
        (["--email", "a@example.com", "--tenant", "a b"], PASSWORD, "tenant"),
        (["--email", "a@example.com"], "short", "password"),
    ],
)
def test_a_wrong_account_is_refused(run, typed, words, password, expected):
    typed(password + "\n")
    code, _, err = run("accounts", "create", "--password-stdin", *words)
    assert code == 1
    assert expected in err
    assert "There are no accounts" in run("accounts", "list")[1]


def test_no_password_is_no_password(run, typed):
    typed("")
    words = ["accounts", "create", "--email", "a@example.com"]
    code, _, err = run(*words, "--password-stdin")
    assert code == 2
    assert "--password-stdin" in err
    typed(PASSWORD)
    code, _, err = run(*words)
    assert code == 2
    assert "no terminal" in err


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("again", "code"), [(PASSWORD, 0), (PASSWORD + "x", 2)])
def test_a_password_is_asked_for_twice_and_not_shown(run, monkeypatch, again, code):
    answers = iter([PASSWORD, again])
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))
    found, out, err = run("accounts", "create", "--email", "a@example.com")
    assert found == code
    assert PASSWORD not in out + err


def test_an_address_is_no_instruction_for_the_terminal(run, typed):
    typed(PASSWORD + "\n")
    words = [
        "accounts",
        "create",
        "--email",
        "a\x1b[2J@example.com",
        "--password-stdin",
    ]
    _, out, err = run(*words)
    assert "\x1b[2J" not in out + err


BLOCKED = """
import sys
for name in sys.argv[1].split(","):
    sys.modules[name] = None
from ringfence.cli.main import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("blocked", "words", "extra"),
    [
        ("cyclopts", ["plan", "garden:app"], "ringfence[cli]"),
        ("rich", ["plan", "garden:app"], "ringfence[cli]"),
        ("uvicorn", ["dev", "garden:app"], "ringfence[serve]"),
        ("sqlalchemy", ["accounts", "list"], "ringfence[identity]"),
    ],
)
def test_a_missing_library_names_its_extra(here, blocked, words, extra):
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, blocked, *words],
        cwd=here,
        env=os.environ | {"PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert extra in done.stderr
    assert "Traceback" not in done.stderr


def test_the_matrix_is_written_and_compared(run, here):
    code, out, _ = run("plan", "garden:app", "--matrix", "roles.md")
    assert code == 0
    assert "--compare" in out
    assert "| / GET, HEAD | public | yes | yes | yes | yes |" in (
        here / "roles.md"
    ).read_text("utf-8")
    assert run("plan", "garden:app", "--matrix", "roles.md", "--compare")[0] == 0


def test_a_change_of_who_may_do_what_is_shown(run, here):
    run("plan", "garden:app", "--matrix", "roles.md")
    file = here / "roles.md"
    kept = file.read_text("utf-8")
    file.write_text(
        kept.replace("/ GET, HEAD | public | yes", "/ GET, HEAD | public | 401")
    )
    before = file.read_text("utf-8")
    code, out, _ = run("plan", "garden:app", "--matrix", "roles.md", "--compare")
    assert code == 1
    assert "  / GET, HEAD: anonymous: yes instead of 401\n" in out
    assert "ringfence plan garden:app --matrix roles.md\n" in out
    assert file.read_text("utf-8") == before


def test_a_matrix_of_another_version_is_written_anew(run, here):
    """Where nothing else has changed than what stands around the tables."""
    run("plan", "garden:app", "--matrix", "roles.md")
    file = here / "roles.md"
    file.write_text("\x1b[2J" + file.read_text("utf-8"))
    code, out, _ = run("plan", "garden:app", "--matrix", "roles.md", "--compare")
    assert code == 1
    assert "roles.md was written otherwise" in out
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--compare"], "--matrix FILE --compare"),
        (["--matrix", "missing.md", "--compare"], "cannot be used"),
        (["--matrix", "no/folder/roles.md"], "cannot be used"),
    ],
)
def test_a_matrix_that_cannot_be_compared_is_said(run, here, words, said):
    code, _, err = run("plan", "garden:app", *words)
    assert code == 2
    assert said in err
