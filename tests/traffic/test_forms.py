import asyncio
import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar._multipart import parse_content_header
from multipart import MultipartError, MultipartSegment, PushMultipartParser
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from ringfence.denial import Denial
from ringfence.errors import BodyRefusedError
from ringfence.traffic.body_limit import limit_body, limit_messages
from ringfence.traffic.forms import (
    MultipartForm,
    UrlencodedForm,
    form_of,
    read_boundary,
)
from ringfence.traffic.settings import TrafficSettings

pytestmark = pytest.mark.anyio

SETTINGS = TrafficSettings(
    max_fields=3, max_files=2, max_part_header=300, max_file_name=20
)
TYPE = "multipart/form-data; boundary=b"


def part(name="a", content=b"1", more=""):
    head = f'Content-Disposition: form-data; name="{name}"{more}'
    return b"--b\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n"


END = b"--b--\r\n"
FILE = '; filename="x.txt"\r\nContent-Type: text/plain'


def judge(body, *, pieces=None, bounds=SETTINGS, boundary=b"b"):
    """Feed a form, by default in one piece, and return the code of its refusal."""
    form = MultipartForm(boundary, bounds)
    for piece in [body] if pieces is None else pieces:
        denial = form.feed(piece)
        if denial is not None:
            return denial.code
    denial = form.end()
    return denial and denial.code


HONEST = {
    "nothing": b"",
    "no fields": END,
    "one field": part() + END,
    "two files": part(more=FILE) * 2 + END,
    "three parts": part() * 3 + END,
    "a line break before": b"\r\n" + part() + END,
    "line breaks after": part() + END + b"\r\n\r\n",
    "no line break at the end": part() + b"--b--",
    "an empty value": part(content=b"") + END,
    "a value like a boundary": part(content=b"--b\r\n\r\n--c--\r\n--\r\n-") + END,
    "a long binary file": part(content=bytes(range(256)) * 1_000, more=FILE) + END,
    "an international file name": part(more="; filename*=utf-8''%e2%82%ac.txt") + END,
    "a file name of semicolons": part(more='; filename="' + ";" * 20 + '"') + END,
    "a quoted file name": part(more='; filename="a \\"b\\".txt"') + END,
}
REFUSED = {
    "four parts": (part() * 4 + END, "too_many_fields"),
    "parts without end": (part() * 4, "too_many_fields"),
    "empty parts": (b"--b\r\n\r\n\r\n" * 4, "too_many_fields"),
    "three files": (part(more=FILE) * 3 + END, "too_many_files"),
    "junk before": (b"x" * 100 + part() + END, "bad_form"),
    "line breaks before": (b"\r\n" * 100 + part() + END, "bad_form"),
    "junk after": (part() + END + b"x" * 100, "bad_form"),
    "a second end": (part() + END + END, "bad_form"),
    "junk behind a boundary": (part() + b"--bx\r\n", "bad_form"),
    "line feeds alone": (part().replace(b"\r\n", b"\n") + END, "bad_form"),
    "a large header": (part(more="; x=" + "y" * 400) + END, "part_header_too_large"),
    "a header of semicolons": (
        part(more='; x="' + ";" * 64 + '"') + END,
        "part_header_too_large",
    ),
    "an endless header": (b"--b\r\n" + b"x" * 400, "part_header_too_large"),
    "a long file name": (
        part(more=f'; filename="{"x" * 21}"') + END,
        "file_name_too_long",
    ),
    "a long bare file name": (
        part(more="; filename=" + "x" * 21) + END,
        "file_name_too_long",
    ),
    "a long encoded file name": (
        part(more="; filename*=utf-8''" + "%61" * 21) + END,
        "file_name_too_long",
    ),
    "a folded file name": (
        part(more=';\r\n filename = "' + "x" * 21) + END,
        "file_name_too_long",
    ),
    "no end": (part(), "bad_form"),
    "cut in a header": (b"--b\r\nContent-Dis", "bad_form"),
    "cut in a boundary": (part() + b"--b", "bad_form"),
    "another boundary": (part().replace(b"--b", b"--c") + END, "bad_form"),
}


@pytest.mark.parametrize("body", HONEST.values(), ids=HONEST)
def test_honest_forms_pass(body):
    assert judge(body) is None
    assert judge(body, pieces=[body[i : i + 1] for i in range(len(body))]) is None


@pytest.mark.parametrize(("body", "code"), REFUSED.values(), ids=REFUSED)
def test_others_are_refused(body, code):
    """CVE-2023-30798: parts without number. CVE-2024-53981: junk around boundaries."""
    assert judge(body) == f"traffic.{code}"
    pieces = [body[i : i + 1] for i in range(len(body))]
    assert judge(body, pieces=pieces) == f"traffic.{code}"


@given(
    st.lists(
        st.sampled_from(
            [b"--b", b"\r\n", b"--", b"\r", b"\n", b"-", b"x", part(), part(more=FILE)]
        ),
        max_size=12,
    ),
    st.lists(st.integers(0, 200), max_size=6),
)
def test_a_form_is_judged_alike_however_it_is_cut(tokens, cuts):
    """Where TCP cuts a body must decide nothing."""
    body = b"".join(tokens)
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [body[a:b] for a, b in itertools.pairwise(edges)]
    assert judge(body) == judge(body, pieces=pieces)


@pytest.mark.parametrize(
    "body",
    [
        part(content=b"\r\n--" * 250_000, more=FILE) + END,
        part(content=b"\r\n--" + b"a" * 69 + b"\r\n--" * 200_000, more=FILE) + END,
        part(content=b"\r" * 1_000_000) + END,
        b"--b\r\n" + b"\r\n" * 500_000,
        b"\n" * 1_000_000,
    ],
)
def test_a_megabyte_takes_linear_time(body):
    """CVE-2024-24762 and its kin: an input that a parser goes over again and again."""
    bounds = TrafficSettings()
    for boundary in (b"b", b"a" * 70):
        began = time.process_time()
        judge(body, bounds=bounds, boundary=boundary)
        pieces = [body[i : i + 1_000] for i in range(0, len(body), 1_000)]
        judge(body, pieces=pieces, bounds=bounds, boundary=boundary)
        assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        (b"multipart/form-data; boundary=----WebKitForm7", b"----WebKitForm7"),
        (b"multipart/form-data; boundary=-----------9051", b"-----------9051"),
        (b'multipart/form-data; boundary="a b"', None),
        (b'Multipart/Form-Data; BOUNDARY="a=b:c"', b"a=b:c"),
        (b"multipart/form-data;boundary=----=_Part_1_2.3", None),
        (b'multipart/form-data;boundary="----=_Part_1_2.3"', b"----=_Part_1_2.3"),
        (b"multipart/form-data; boundary=a/b", None),
        (b"multipart/form-data; charset=utf-8; boundary=b", b"b"),
        (b"multipart/form-data; boundary=b; charset=utf-8", b"b"),
        (b"multipart/form-data", None),
        (b"multipart/form-data; boundary=", None),
        (b'multipart/form-data; boundary=""', None),
        (b"multipart/form-data; boundary=" + b"b" * 70, b"b" * 70),
        (b"multipart/form-data; boundary=" + b"b" * 71, None),
        (b"multipart/form-data; boundary=a; boundary=b", None),
        (b"multipart/form-data; boundary*=utf-8''b", None),
        (b"multipart/form-data; boundary*0=a; boundary*1=b", None),
        (b'multipart/form-data; boundary="a\\"b"', None),
        (b"multipart/form-data; boundary=a, b", None),
        (b"multipart/form-data, text/plain; boundary=b", None),
        (b"multipart/form-data boundary=b", None),
        (b"multipart/form-data; boundary=\xff", None),
    ],
)  # fmt: skip
def test_a_boundary_can_be_read_in_one_way(content_type, boundary):
    """Else the guard counts the parts of one form and the framework parses another."""
    assert read_boundary(content_type) == boundary


@pytest.mark.parametrize("blank", [b"\xa0", b"\x85", b"\x1c", b"\x0b", b"\t"])
@pytest.mark.parametrize(
    "media_type", [b"application/x-www-form-urlencoded", b"multipart/form-data"]
)
def test_what_a_framework_takes_for_a_form_is_counted(media_type, blank):
    """Litestar strips the header as text: a no-break space before the type hid a form
    from who counts bytes."""
    for hidden in (blank + media_type, media_type + blank):
        content_type = hidden + b"; boundary=b"
        assert parse_content_header(content_type.decode("latin-1"))[0] == (
            media_type.decode()
        )
        assert form_of(content_type, SETTINGS) is not None


@given(st.binary(max_size=80))
def test_no_bytes_break_the_reader(rest):
    form_of(b"multipart/form-data" + rest, SETTINGS)


def test_reading_a_boundary_takes_linear_time():
    began = time.process_time()
    for rest in (b"; a=" * 8_000, b";" + b" " * 30_000, b'; a="' + b"b" * 30_000):
        read_boundary(b"multipart/form-data" + rest)
    assert time.process_time() - began < 0.2


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (b"a=1&b=2&c=3", False),
        (b"a=1&b=2&c=3&", True),
        (b"a;b;c;d", True),
        (b"", False),
    ],
)
def test_fields_are_counted(body, refused):
    form = UrlencodedForm(SETTINGS)
    denials = [form.feed(body[i : i + 1]) for i in range(len(body))]
    assert any(isinstance(denial, Denial) for denial in denials) is refused
    assert form.end() is None


@pytest.mark.parametrize(
    "content_type", [b"", b"application/json", b"text/plain", b"multipart/mixed"]
)
def test_nothing_else_is_counted(content_type):
    assert form_of(content_type, SETTINGS) is None


def parts_seen_by_starlette(content_type, body):
    """Return how many parts the parser of Starlette and FastAPI makes of a form."""

    async def receive():
        return {"type": "http.request", "body": body}

    async def count():
        scope = {"type": "http", "headers": [(b"content-type", content_type)]}
        unbounded = float("inf")
        form = Request(scope, receive).form(max_fields=unbounded, max_files=unbounded)
        async with form as fields:
            return len(fields.multi_items())

    try:
        return asyncio.run(count())
    except (HTTPException, MultiPartException, KeyError):
        return 0


def parts_seen_by_litestar(content_type, body):
    """Return the same for Litestar's way of reading the header, and its parser."""
    media_type, options = parse_content_header(content_type.decode("latin-1"))
    if media_type != "multipart/form-data" or not options.get("boundary"):
        return 0
    try:
        with PushMultipartParser(options["boundary"].encode()) as parser:
            pieces = [*parser.parse(body), *parser.parse(b"")]
    except MultipartError:
        return 0
    return sum(isinstance(piece, MultipartSegment) for piece in pieces)


BOUNDARIES = st.sampled_from(
    ["b", '"b"', '"b=c"', "b=c", "b/c", '"b:c"', "b;boundary=c", "B", '"b "', "b,c"]
)


@settings(max_examples=300, deadline=None)
@given(
    BOUNDARIES,
    st.lists(
        st.sampled_from(
            [
                *(b"--" + name for name in (b"b", b"b=c", b"b:c", b"c", b"B", b"b ")),
                b"\r\n",
                b"\r\n--b\r\n",
                b"--",
                b'Content-Disposition: form-data; name="a"\r\n\r\n',
                *(part() * count for count in (1, 2, 4)),
            ]
        ),
        max_size=9,
    ).map(b"".join),
    st.booleans(),
)
def test_no_parser_finds_more_parts_than_were_counted(boundary, body, is_closed):
    """The guard must see what the framework sees, or counting is for nothing."""
    content_type = f"multipart/form-data; boundary={boundary}".encode()
    if is_closed:
        body = part() + body + END
    form = form_of(content_type, SETTINGS)
    if isinstance(form, Denial) or form.feed(body) or form.end():
        return
    assert parts_seen_by_starlette(content_type, body) <= SETTINGS.max_fields
    assert parts_seen_by_litestar(content_type, body) <= SETTINGS.max_fields


def test_no_header_of_a_part_keeps_starlette_busy():
    """What passes must be parsed in about the time of any other form of its size;
    a megabyte of semicolons took a hundred times as long (CVE-2024-24762's kind)."""
    for count in (60, 4_000):
        more = '; x="' + ";" * count + "y" * (4_000 - count)
        body = part(more=more) * 200 + END
        if judge(body, bounds=TrafficSettings()) is None:
            began = time.process_time()
            parts_seen_by_starlette(TYPE.encode(), body)
            assert time.process_time() - began < 0.3


def posting(exchange_of, body, content_type=TYPE):
    pieces = [body[i : i + 7] for i in range(0, len(body), 7)]

    async def receive():
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    return exchange_of(
        method="POST",
        receive=receive,
        headers=[("content-type", content_type), ("content-length", str(len(body)))],
    )


async def read(exchange):
    while True:
        await exchange.receive()


async def test_a_form_is_refused_while_it_is_read(exchange_of):
    exchange = posting(exchange_of, part() * 4 + END)
    assert await limit_body(10_000, SETTINGS)(exchange) is None
    with pytest.raises(BodyRefusedError):
        await read(exchange)
    assert exchange.denial.code == "traffic.too_many_fields"


async def test_a_form_that_was_cut_off_is_refused(exchange_of):
    exchange = posting(exchange_of, part())
    assert await limit_body(10_000, SETTINGS)(exchange) is None
    with pytest.raises(BodyRefusedError):
        await read(exchange)
    assert exchange.denial.code == "traffic.bad_form"


async def test_a_form_without_boundary_is_refused_at_once(exchange_of):
    exchange = posting(exchange_of, part() + END, "multipart/form-data")
    denial = await limit_body(10_000, SETTINGS)(exchange)
    assert (denial.status, denial.code) == (400, "traffic.bad_boundary")


@pytest.mark.parametrize("length", ["", "0", "3"])
async def test_an_endless_type_is_refused_with_a_body_and_without(exchange_of, length):
    """A handler that asks for a form has the header parsed, in quadratic time."""
    for size, status in ((20_000, 431), (400, None)):
        content_type = 'application/x-www-form-urlencoded; x="' + ";" * size
        headers = [("content-type", content_type)]
        headers += [("content-length", length)] if length else []
        exchange = exchange_of(method="POST", headers=headers)
        denial = await limit_body(10_000, SETTINGS)(exchange)
        assert (denial and denial.status) == status


@pytest.mark.parametrize("field", ["text", "bytes"])
async def test_a_large_message_ends_a_websocket(exchange_of, field):
    messages = iter(["x" * 10, "x" * 11])

    async def receive():
        said = next(messages)
        value = said if field == "text" else said.encode()
        return {"type": "websocket.receive", field: value}

    exchange = exchange_of(type="websocket", receive=receive)
    assert await limit_messages(10)(exchange) is None
    await exchange.receive()
    with pytest.raises(BodyRefusedError):
        await exchange.receive()
    assert exchange.denial.code == "traffic.message_too_large"


async def test_other_messages_of_a_websocket_pass(exchange_of):
    async def receive():
        return {"type": "websocket.connect"}

    exchange = exchange_of(type="websocket", receive=receive)
    assert await limit_messages(1)(exchange) is None
    assert await exchange.receive() == {"type": "websocket.connect"}
