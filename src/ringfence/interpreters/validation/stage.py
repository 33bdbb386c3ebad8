"""The stage that looks at input once it is known who sends it, and that they may.

It stands behind the policy and the CSRF token: bodies of strangers cost nothing, and
nobody learns from a 422 which fields a route has that is closed to them.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from dataclasses import replace

import msgspec

from ringfence.denial import Denial, Fault
from ringfence.errors import BodyRefusedError
from ringfence.exchange import End, Exchange, Message, Stage, Step, at_once
from ringfence.interpreters.json.body import promptly, read_body
from ringfence.interpreters.json.media import (
    is_json,
    media_type,
    names_another_encoding,
)
from ringfence.interpreters.json.strict import ENCODING, read
from ringfence.interpreters.settings import InterpretersSettings
from ringfence.interpreters.validation.faults import fault_of
from ringfence.interpreters.validation.forms import (
    MULTIPART,
    URLENCODED,
    Pair,
    beyond_json,
    gather,
    json_like,
    multipart,
    urlencoded,
)
from ringfence.interpreters.validation.intake import Intake, Model, Takes

_INVALID = Denial(
    422,
    "interpreters.invalid_input",
    "Some of what was sent is missing or not valid.",
)
_WRONG_TYPE = Denial(
    415,
    "interpreters.input_type",
    "The body must be JSON, or a form where that is taken.",
)
_FORM_ENCODING = Denial(400, "interpreters.form_malformed", "The form cannot be read.")
_UNASKED = frozenset({"csrf_token"})  # every form of ours has it, and no model
# What networks and mail programs add to any link that is passed on.
_TRACKING = frozenset(
    {
        *("_ga", "_gl", "dclid", "fbclid", "gad_source", "gbraid", "gclid", "gclsrc"),
        *("igshid", "li_fat_id", "mc_cid", "mc_eid", "msclkid", "ttclid", "twclid"),
        *("srsltid", "wbraid", "yclid"),
    }
)
_NO_BODY = frozenset({"1.1", "1.0", "1", None})
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_MOST_TOLD = 5
_AROUND = b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"  # byte order marks, blanks
_DEFAULTS = InterpretersSettings()

Judged = Denial | None


def check_input(
    intake: Intake, *, kind: str, settings: InterpretersSettings = _DEFAULTS
) -> Stage | None:
    """Return the stage that checks what a route takes; ``None`` where it takes nothing
    that could be checked.

    Args:
        intake: of the route.
        kind: of the route.
        settings: how deep JSON may be.

    Not covered: packed bodies (Content-Encoding) and those that were called text, but
    for what a handler reads from them with ``request.json()``; what it reads from
    headers and cookies; the files of a form.

    Source: ASVS 5.0 V1.5.3, V2.2.1, V15.3.3; CWE-20, CWE-915.
    """
    inspect: Step = _Bodies(intake, settings).inspect
    if intake.is_anything:
        inspect = _let_pass
    if kind == "websocket":
        inspect = _watch_messages(intake.body, settings)
    first = [one for one in (_path_of(intake), _query_of(intake)) if one is not None]
    if not first:
        return None if inspect is _let_pass else at_once(inspect)

    def look(exchange: Exchange) -> End | Awaitable[End | None] | None:
        for check in first:
            denial = check(exchange)
            if denial is not None:
                return denial
        return inspect(exchange)

    look.__module__ = __name__
    return at_once(look)


class _Bodies:
    """Checks the bodies of one route."""

    def __init__(self, intake: Intake, settings: InterpretersSettings) -> None:
        self._model = intake.body
        self._takes = intake.takes
        self._settings = settings
        # What is read into a model is JSON, whatever it is called.
        self._expects_json = intake.body is not None or (
            intake.takes is not None and intake.takes.body is not None
        )

    def inspect(self, exchange: Exchange) -> Denial | Awaitable[Judged] | None:
        """Look at a body, if there is one that can be checked."""
        headers = exchange.headers
        content_type = headers.get(b"content-type")
        if content_type is not None:
            if b"content-encoding" not in headers and is_json(content_type):
                return self._read_json(exchange, content_type)
            return self._by_type(exchange, content_type)
        if not self._expects_json:
            return None
        if _has_no_body(exchange):
            return self._nothing(exchange)
        return self._read_json(exchange, b"")

    def _by_type(
        self, exchange: Exchange, content_type: bytes
    ) -> Denial | Awaitable[Judged] | None:
        if _is_packed(exchange):
            return self._packed(exchange, content_type)
        if is_json(content_type):
            return self._read_json(exchange, content_type)
        kind = media_type(content_type)
        if kind in (URLENCODED, MULTIPART):
            return self._form(exchange, kind)
        if not self._expects_json or _has_no_body(exchange):
            return self._nothing(exchange)
        if self._model is not None:
            return _WRONG_TYPE
        return self._read_json(exchange, b"")

    def _packed(
        self, exchange: Exchange, content_type: bytes
    ) -> Denial | Awaitable[Judged] | None:
        """Leave a body to what unpacks it: only that can look into it."""
        if self._model is not None:
            return _WRONG_TYPE  # nothing else would come of it
        if self._expects_json or is_json(content_type):
            return promptly(self._judge_packed(exchange, content_type))
        return None

    def _form(
        self, exchange: Exchange, kind: bytes
    ) -> Denial | Awaitable[Judged] | None:
        model, takes = self._model, self._takes
        if model is not None:
            if model.several is None:
                return _WRONG_TYPE
            return self._judge_form(exchange, model)
        if takes is None or (takes.form is None and takes.body is None):
            return None
        if takes.form is None:
            return self._read_json(exchange, b"")
        if takes.has_files and kind == MULTIPART:
            return None  # files go through in a stream
        return self._judge_names(exchange, takes)

    def _nothing(self, exchange: Exchange) -> Denial | None:
        if self._model is None or exchange.method in _READS:
            return None  # the framework says what is missing
        return refused([Fault(("body",), "missing")])

    def _read_json(
        self, exchange: Exchange, content_type: bytes
    ) -> Denial | Awaitable[Judged] | None:
        body = read_body(exchange, remembered=self._settings.max_input)
        if isinstance(body, bytes):
            return self._judge_json(exchange, content_type, body)
        return promptly(self._await_json(exchange, content_type, body))

    async def _await_json(
        self, exchange: Exchange, content_type: bytes, coming: Awaitable[bytes | None]
    ) -> Judged:
        body = await coming
        return None if body is None else self._judge_json(exchange, content_type, body)

    async def _judge_packed(self, exchange: Exchange, content_type: bytes) -> Judged:
        """Judge what is called packed and is none: frameworks unpack nothing and do
        not look at this header, so that it would switch every check off (CWE-436)."""
        coming = read_body(exchange, remembered=self._settings.max_input)
        body = coming if isinstance(coming, bytes) else await coming
        if body is None:
            return None
        if not _looks_like_json(body):
            # Read on as if nobody had: what unpacks it is looked at later.
            exchange.received, exchange.has_body = [], False
            return None
        return self._judge_json(exchange, content_type, body)

    def _judge_json(
        self, exchange: Exchange, content_type: bytes, body: bytes
    ) -> Judged:
        if not body:
            return self._nothing(exchange)
        if names_another_encoding(content_type, body):
            return ENCODING
        value = read(body, deepest=self._settings.json_depth)
        if isinstance(value, Denial):
            return value
        model, takes = self._model, self._takes
        if model is not None:
            return accept(exchange, model, body, value)
        if takes is not None and takes.body is not None:
            faults = takes.body(value)
            if faults:
                return _below("body", faults)
        return None

    async def _judge_form(self, exchange: Exchange, model: Model) -> Judged:
        pairs = await self._read_form(exchange)
        if pairs is None or isinstance(pairs, Denial):
            return pairs
        return _accept_pairs(exchange, model, pairs, "body")

    async def _judge_names(self, exchange: Exchange, takes: Takes) -> Judged:
        pairs = await self._read_form(exchange)
        if pairs is None or isinstance(pairs, Denial):
            return pairs
        known = (takes.form or frozenset()) | _UNASKED
        return _refuse_unknown(pairs, known, "body")

    async def _read_form(self, exchange: Exchange) -> list[Pair] | Denial | None:
        coming = read_body(exchange, remembered=self._settings.max_input)
        body = coming if isinstance(coming, bytes) else await coming
        return None if body is None else _pairs_of_form(exchange, body)


def _pairs_of_form(exchange: Exchange, body: bytes) -> list[Pair] | Denial:
    content_type = exchange.headers[b"content-type"]
    try:
        if media_type(content_type) == URLENCODED:
            return urlencoded(body)
        return multipart(body, content_type)
    except ValueError:
        return _FORM_ENCODING


def _path_of(intake: Intake) -> Callable[[Exchange], Judged] | None:
    model, read_pairs = intake.path, intake.read_path
    if model is None or read_pairs is None:
        return None

    def check(exchange: Exchange) -> Judged:
        root: str = exchange.scope.get("root_path", "")
        pairs = read_pairs(exchange.path.removeprefix(root))
        return _accept_pairs(exchange, model, pairs, "path")

    return check


def _query_of(intake: Intake) -> Callable[[Exchange], Judged] | None:
    model, takes = intake.query, intake.takes
    if model is not None:
        fields = frozenset(model.several or ())

        def check(exchange: Exchange) -> Judged:
            pairs = _pairs_of_query(exchange)
            if isinstance(pairs, Denial):
                return pairs
            pairs = _without_tracking(pairs, fields)
            return _accept_pairs(exchange, model, pairs, "query")

        return check
    if takes is None or takes.query is None:
        return None
    known = takes.query

    def names_only(exchange: Exchange) -> Judged:
        if not exchange.scope.get("query_string"):
            return None
        pairs = _pairs_of_query(exchange)
        if isinstance(pairs, Denial):
            return pairs
        return _refuse_unknown(_without_tracking(pairs, known), known, "query")

    return names_only


def _without_tracking(pairs: list[Pair], known: AbstractSet[str]) -> list[Pair]:
    """Leave out what others add to links, so that these go on working."""
    return [
        pair
        for pair in pairs
        if pair[0] in known or not (pair[0] in _TRACKING or pair[0].startswith("utm_"))
    ]


def _pairs_of_query(exchange: Exchange) -> list[Pair] | Denial:
    try:
        return urlencoded(exchange.scope.get("query_string", b""))
    except ValueError:
        return _FORM_ENCODING


def _refuse_unknown(pairs: list[Pair], known: AbstractSet[str], place: str) -> Judged:
    unknown = {name for name, _ in pairs if name not in known}
    if not unknown:
        return None
    return refused(
        [Fault((place, name), "extra_forbidden") for name in sorted(unknown)]
    )


def accept(exchange: Exchange, model: Model, body: bytes, value: object) -> Judged:
    """Check JSON against a model, and keep what came of it."""
    faults = model.check(value)
    if faults:
        return _below("body", faults)
    try:
        read_as = model.decode.decode(body)
    except msgspec.ValidationError as error:
        return _below("body", [fault_of(str(error))])
    exchange.accepted = (*exchange.accepted, (model.annotation, read_as))
    return None


def _accept_pairs(
    exchange: Exchange, model: Model, pairs: list[Pair], place: str
) -> Judged:
    several = model.several or {}
    values, faults = gather(pairs, several, _UNASKED)
    if not model.is_lenient:
        faults += [
            Fault((name,), "extra_forbidden") for name in values if name not in several
        ]
    if faults:
        return _below(place, faults)
    try:
        read_as = msgspec.convert(values, model.annotation, strict=False)
    except msgspec.ValidationError as error:
        return _below(place, [fault_of(str(error))])
    plain = json_like(msgspec.to_builtins(read_as))
    faults = beyond_json(plain) or model.check(plain) or []
    if faults:
        return _below(place, faults)
    exchange.accepted = (*exchange.accepted, (model.annotation, read_as))
    return None


def _below(place: str, faults: list[Fault]) -> Denial:
    return refused([one._replace(place=(place, *one.place)) for one in faults])


def refused(faults: list[Fault]) -> Denial:
    """Return the refusal of input, with what is wrong with each field and none of the
    values: a field may be a password (CWE-209)."""
    private = ", ".join(
        f"{fault.kind} at {'.'.join(map(str, fault.place)) or 'the top'}"
        for fault in faults[:_MOST_TOLD]
    )
    return replace(_INVALID, private=private, faults=tuple(faults))


def _is_packed(exchange: Exchange) -> bool:
    packing = exchange.headers.get(b"content-encoding")
    return packing is not None and packing.lower() != b"identity"


def _looks_like_json(body: bytes) -> bool:
    """Return whether a body is text that begins as an object or a list does, in any
    encoding that readers of JSON know. Of what is packed none is."""
    if body.strip(_AROUND)[:1] not in {b"{", b"["}:
        return False
    try:
        body.decode(json.detect_encoding(body))
    except UnicodeDecodeError:
        return False
    return True


def _has_no_body(exchange: Exchange) -> bool:
    """HTTP/1 without a length has no body (RFC 9112, 6.3)."""
    headers = exchange.headers
    if headers.get(b"content-length", b"0") != b"0":
        return False
    return (
        b"transfer-encoding" not in headers
        and exchange.scope.get("http_version") in _NO_BODY
    )


def _let_pass(_: Exchange) -> None:
    """Have nothing to look at."""


def _watch_messages(model: Model | None, settings: InterpretersSettings) -> Step:
    """Return what checks each message of a WebSocket. The connection ends with the
    first that is not as it should be."""
    if model is None:
        return _let_pass

    def messages(exchange: Exchange) -> None:
        receive = exchange.receive

        async def checked() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive":
                denial = _judge_message(exchange, model, message, settings)
                if denial is not None:
                    exchange.denial = denial
                    raise BodyRefusedError(denial.detail)
            return message

        exchange.receive = checked

    return messages


def _judge_message(
    exchange: Exchange, model: Model, message: Message, settings: InterpretersSettings
) -> Judged:
    body = message.get("bytes")
    if body is None:
        body = (message.get("text") or "").encode("utf-8", "surrogatepass")
    value = read(body, deepest=settings.json_depth)
    if isinstance(value, Denial):
        return value
    others = [one for one in exchange.accepted if one[0] != model.annotation]
    exchange.accepted = tuple(others)
    return accept(exchange, model, body, value)
