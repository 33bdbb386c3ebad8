"""Patterns from a request that take forever (ReDoS, CWE-1333)."""

import re
import time

import pytest
from examples.range.targets import code
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.attacks.targets import routes_of
from tests.attacks.twins import twins

from ringfence import expressions

TEXT = "a" * 21 + "!"


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    async def safely(request):
        pattern = expressions.bounded(request.query_params["pattern"])
        return PlainTextResponse(str(bool(pattern.search(TEXT))))

    async def took(request):
        """Seconds that a short text keeps the whole server busy."""
        pattern = request.query_params["pattern"]
        began = time.process_time()
        re.search(pattern, TEXT)
        return PlainTextResponse(str(time.process_time() - began))

    async def lesson(request):
        """The page's own pattern, beside a lesson about it."""
        return PlainTextResponse(str(bool(re.search("(?:(?:a+)+)b", "ab"))))

    def make():
        return [
            *routes_of(code.TARGETS, tmp_path_factory.mktemp("world"))(),
            Route("/safely", safely),
            Route("/took", took),
            Route("/lesson", lesson),
        ]

    with twins(make, tmp_path_factory.mktemp("data")) as served:
        yield served


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){9}x$"])
def test_a_pattern_that_explodes(both, pattern):
    """Two letters more take four times as long; the guard asks before the first."""
    params = {"pattern": pattern}
    assert float(both.off.get("/took", params=params).text) > 0.001
    re.purge()  # the other side shares this process, and what it has compiled
    for path in ("/took", "/search"):
        answer = both.on.get(path, params=params)
        assert (answer.status_code, answer.json()["code"]) == (
            403,
            "interpreters.regex",
        )
    answer = both.on.get("/safely", params=params)
    assert (answer.status_code, answer.json()["code"]) == (400, "interpreters.regex")


@pytest.mark.parametrize(
    "pattern", ["quick", "fox.*dog", r"\bl\w+y\b", "lazy|slow", "q.+k"]
)
def test_honest_patterns(both, pattern):
    params = {"pattern": pattern}
    for client in (both.off, both.on):
        assert "fox" in client.get("/search", params=params).text
        assert client.get("/safely", params=params).status_code == 200


def test_a_lesson_about_patterns(both):
    params = {"text": "(?:(?:a+)+)b"}
    for client in (both.off, both.on):
        assert client.get("/lesson", params=params).text == "True"
