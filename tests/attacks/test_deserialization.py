"""Data that brings code along: pickles, YAML tags, marshalled code, ``eval`` (CWE-502,
CWE-94, CWE-95)."""

import base64
import json
import marshal
import pickle
from pathlib import Path

import pytest
from examples.range.targets import code
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from tests.attacks.targets import routes_of
from tests.attacks.twins import twins


class Touch:
    """Makes a file while it is unpickled, by a class that no list of bad names has."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.write_text, (Path(self.path), "fired")


class Basket:
    def __init__(self):
        self.things = ["lamp"]


STORED = pickle.dumps(Basket())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("world")


@pytest.fixture(scope="module")
def both(folder, tmp_path_factory):
    async def cached(request):
        """A cache of the application's own, whatever the request holds."""
        await request.body()
        return JSONResponse(pickle.loads(STORED).things)

    async def run_code(request):
        exec(marshal.loads(await request.body()), {})
        return PlainTextResponse("done")

    def make():
        return [
            *routes_of(code.TARGETS, folder)(),
            Route("/cached", cached, methods=["POST"]),
            Route("/marshal", run_code, methods=["POST"]),
        ]

    with twins(make, tmp_path_factory.mktemp("data")) as served:
        yield served


@pytest.fixture
def fired(folder):
    """A file that is there if the attack has worked."""
    path = folder / "fired"
    path.unlink(missing_ok=True)

    def was_fired():
        found = path.exists()
        path.unlink(missing_ok=True)
        return found

    was_fired.path = str(path)
    return was_fired


def attack(both, fired, kind, send):
    send(both.off)
    assert fired()
    answer = send(both.on)
    assert (answer.status_code, answer.json()["code"]) == (403, f"interpreters.{kind}")
    assert not fired()


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_as_the_body(both, fired, protocol):
    raw = pickle.dumps(Touch(fired.path), protocol)
    attack(both, fired, "pickle", lambda client: client.post("/pickle", content=raw))


def test_a_pickle_in_a_cookie(both, fired):
    cookie = base64.urlsafe_b64encode(pickle.dumps(Touch(fired.path))).decode()
    headers = {"cookie": f"basket={cookie}"}
    attack(both, fired, "pickle", lambda client: client.get("/basket", headers=headers))


def test_tags_in_yaml(both, fired):
    document = f'!!python/object/apply:os.system ["touch {fired.path}"]'
    attack(both, fired, "yaml", lambda client: client.post("/yaml", content=document))


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch {}')",
        "open('{}', 'w').close()",
        "[open('{}', 'w').close() for c in ().__class__.__base__.__subclasses__()][0]",
    ],
)
def test_eval(both, fired, text):
    params = {"sum": text.format(fired.path)}
    attack(
        both, fired, "python", lambda client: client.get("/calculate", params=params)
    )


def test_marshalled_code(both, fired):
    raw = marshal.dumps(compile(f"open({fired.path!r}, 'w').close()", "x", "exec"))
    attack(both, fired, "pickle", lambda client: client.post("/marshal", content=raw))


def test_honest_data(both):
    """Plain pickles and documents, sums, and a cache of the application's own."""
    plain = {"things": ["lamp", 3], "ids": {1, 2}}
    cookie = base64.urlsafe_b64encode(pickle.dumps(plain)).decode()
    for client in (both.off, both.on):
        assert "lamp" in client.post("/pickle", content=pickle.dumps(plain)).text
        assert (
            "lamp" in client.get("/basket", headers={"cookie": f"basket={cookie}"}).text
        )
        assert "O'Brien" in client.post("/yaml", content="name: O'Brien\nn: [1]").text
        assert client.get("/calculate", params={"sum": "(1 + 2) * 3.5"}).text == "10.5"
        for body in (
            b"x",
            json.dumps({"class": "Basket"}).encode(),
            pickle.dumps(plain),
        ):
            assert client.post("/cached", content=body).json() == ["lamp"]
