"""Handlers that do a little with what they get before it reaches an interpreter: they
take dots out, split command lines, hand ``eval`` to a pool. With the guard off each is
an open door, with it on a closed one (CWE-22, CWE-78, CWE-88, CWE-94, CWE-502).
"""

# ruff: noqa: PTH118, PTH123 - written as beginners do

import asyncio
import base64
import operator
import os
import pickle
import shlex
import subprocess
import typing
import urllib.request

import jinja2
import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.attacks.twins import twins

SECRET = "the key of the shop"


class Folder:
    """Of files that may be read, beside one that may not."""

    path = ""


def read(path):
    with open(path) as file:
        return file.read()


def output(*arguments, **how):
    done = subprocess.run(
        *arguments, capture_output=True, text=True, check=False, **how
    )
    return done.stdout


def without_dots(q):
    return read(os.path.join(Folder.path, q.replace("../", "")))


def fetched(q):
    return urllib.request.urlopen(q).read().decode()


async def in_pool(q):
    return str(await asyncio.to_thread(eval, q))


async def in_executor(q):
    return str(await asyncio.get_running_loop().run_in_executor(None, eval, q))


def annotated(q):
    made = type("Row", (), {"__annotations__": {"column": q}})
    try:
        return str(typing.get_type_hints(made))
    except TypeError as error:  # what it got is no type
        return str(error)


def mailed(q):
    loader = jinja2.DictLoader({"mail": f"Dear {q}, hello"})
    return jinja2.Environment(loader=loader).get_template("mail").render()


def unpickled(q):
    return pickle.loads(base64.b64decode(q))


def command_line(q):
    return output(shlex.split(f"stat --printf=%s {q}"), cwd=Folder.path)


def all_of_it(q):
    return output(q.split())


def with_ending(q):
    return output(["ls", f"{q}.txt"], cwd=Folder.path)


def names(q):
    return output("echo " + " ".join(q.split(",")), shell=True)


def piped(q):
    return output(f"echo '{q}' | sh", shell=True)


HANDLERS = (
    without_dots,
    fetched,
    in_pool,
    in_executor,
    annotated,
    mailed,
    unpickled,
    command_line,
    all_of_it,
    with_ending,
    names,
    piped,
)


def routes():
    def endpoint(handler):
        async def answer(request):
            said = handler(request.query_params["q"])
            said = await said if asyncio.iscoroutine(said) else said
            return PlainTextResponse(said)

        return answer

    async def two(request):
        asked = request.query_params
        return PlainTextResponse(read(os.path.join(asked["folder"], asked["name"])))

    made = [Route(f"/{each.__name__}", endpoint(each)) for each in HANDLERS]
    return [*made, Route("/two", two)]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    world = tmp_path_factory.mktemp("careless")
    (world / "files").mkdir()
    (world / "files" / "a.txt").write_text("welcome")
    (world / "secret.txt").write_text(SECRET)
    Folder.path = str(world / "files")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RINGFENCE_TEST_SECRET", SECRET)
        with twins(routes, tmp_path_factory.mktemp("data")) as made:
            yield made


class Shouted:
    def __reduce__(self):
        return operator.methodcaller("lower"), (SECRET.upper(),)


def broken_up(raw):
    text = base64.b64encode(raw).decode()
    return "\n".join(text[at : at + 6] for at in range(0, len(text), 6))


def file_url():
    return f"<URL:file://{Folder.path}/../secret.txt>"


ATTACKS = {
    "dots after dots": ("without_dots", "....//secret.txt", "path"),
    "dots within dots": ("without_dots", "..././secret.txt", "path"),
    "a pool": (
        "in_pool",
        "__import__('os').environ.get('RINGFENCE_TEST_SECRET')",
        "python",
    ),
    "an executor": (
        "in_executor",
        "__import__('os').environ.get('RINGFENCE_TEST_SECRET')",
        "python",
    ),
    # No constants with names in capitals: those are the application's own words.
    "a template of a loader": (
        "mailed",
        "{{ cycler.__init__.__globals__.os.environ['RINGFENCE_TEST_SECRET'] }}",
        "template",
    ),
    "a pickle with line breaks": ("unpickled", broken_up(pickle.dumps(Shouted())), 0),
    "a whole command": ("all_of_it", "printenv RINGFENCE_TEST_SECRET", "shell"),
    "one name of a list": ("names", ".,;printenv RINGFENCE_TEST_SECRET", "shell"),
    "a shell that reads": ("piped", "printenv RINGFENCE_TEST_SECRET; true", "shell"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(both, name):
    path, value, interpreter = ATTACKS[name]
    assert SECRET in both.off.get(f"/{path}", params={"q": value}).text
    refused = both.on.get(f"/{path}", params={"q": value})
    code = f"interpreters.{interpreter or 'pickle'}"
    assert (refused.status_code, refused.json()["code"]) == (403, code)


def test_a_url_in_brackets(both):
    """``urlopen`` takes ``<URL:...>`` for what stands in it (RFC 3986, appendix C)."""
    params = {"q": file_url()}
    assert SECRET in both.off.get("/fetched", params=params).text
    assert both.on.get("/fetched", params=params).status_code == 403


def test_an_annotation(both):
    """Evaluated, before anybody asks whether it is a type."""
    calling = "len('annotation')"
    assert "10" in both.off.get("/annotated", params={"q": calling}).text
    assert both.on.get("/annotated", params={"q": calling}).status_code == 403
    assert "list[int]" in both.on.get("/annotated", params={"q": "list[int]"}).text


def test_a_folder_and_a_name(both):
    params = {"folder": "/etc", "name": "passwd"}
    assert "root" in both.off.get("/two", params=params).text
    assert both.on.get("/two", params=params).status_code == 403


@pytest.mark.parametrize(
    ("path", "value"),
    [("command_line", "a.txt --printf=%n"), ("with_ending", "--hide=a")],
)
def test_options(both, path, value):
    """Of a command line that is split, and with something behind."""
    assert both.off.get(f"/{path}", params={"q": value}).status_code == 200
    refused = both.on.get(f"/{path}", params={"q": value})
    assert (refused.status_code, refused.json()["code"]) == (403, "interpreters.shell")


HONEST = {
    "without_dots": "a.txt",
    "in_pool": "1 + 2",
    "mailed": "O'Brien",
    "command_line": "a.txt",
    "with_ending": "a",
    "names": "a,b",
    "piped": "true",
}


@pytest.mark.parametrize("path", HONEST)
def test_honest_values(both, path):
    params = {"q": HONEST[path]}
    bare, guarded = (
        side.get(f"/{path}", params=params) for side in (both.off, both.on)
    )
    assert (bare.status_code, bare.text) == (200, guarded.text)
