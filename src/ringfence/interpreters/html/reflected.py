"""The guard at a page: what a request has brought is not carried out by the answer."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping

from ringfence.errors import InjectionRefusedError
from ringfence.exchange import Exchange
from ringfence.interpreters.html.brought import Brought
from ringfence.interpreters.html.coding import Decoder, UnreadableError
from ringfence.interpreters.html.constructs import (
    EXECUTING,
    Construct,
    Ends,
    constructs_of,
    has_code_in_attributes,
    instructions_of,
)
from ringfence.interpreters.html.pretest import is_body_to_come
from ringfence.interpreters.html.tags import tags_of
from ringfence.interpreters.sink import Here, Sink
from ringfence.interpreters.untrusted import Input, Inputs, fold, inputs_of

SINK = Sink("html", "page")

_LONGEST = 262_144  # characters of one tag or script that has not ended yet
_SPECIAL = frozenset("<>&\"'")


class Reflection:
    """Looks at one answer, piece by piece, before each piece leaves.

    Only what can be carried out counts: scripts, handlers, addresses that are code,
    frames and what else loads, a value that leaves its literal in a script. Honest text
    (``a < b``, escaped samples of code, cleaned rich text) is let through as it is.

    Args:
        exchange: the request; ``sinks`` are set.
        headers: of the answer, lower-case names.

    Source: ASVS 5.0 V1.2.1, V1.2.3; CWE-79, CWE-80, CWE-83, CWE-87.

    Not covered: markup that was stored by an earlier request; values that the
    application has changed otherwise than by decoding or cutting them; markup that is
    shown and not carried out (a forged form). Escaping, ``rich_text`` and the
    Content-Security-Policy stand there.
    """

    def __init__(self, exchange: Exchange, headers: Mapping[bytes, bytes]) -> None:
        self._exchange = exchange
        self._whom = Here(exchange)
        content_type = headers.get(b"content-type", b"").decode("latin-1").lower()
        self._is_xml = "xml" in content_type and "text/html" not in content_type
        codings = headers.get(b"content-encoding", b"").decode("latin-1").lower()
        self._written = content_type, [coding.strip() for coding in codings.split(",")]
        self._decoder: Decoder | None = None
        self._inputs: Inputs | None = None
        self._brought: Brought | None = None
        self._kept = ""  # what has left, and has not ended yet
        self.over = False  # nothing more is looked for

    def concerns(self) -> bool:
        """Return whether there is anything to look for, now or later.

        Raises:
            InjectionRefusedError: it could not be found out.
        """
        try:
            self._refresh()
        except InjectionRefusedError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever fails here refuses
            self._fail(error)
        return self._may_find() or self._sees_all or is_body_to_come(self._exchange)

    def look(self, body: bytes, *, more: bool) -> None:
        """Look at one more piece of the answer.

        Args:
            body: the piece.
            more: whether others follow.

        Raises:
            InjectionRefusedError: it would carry out what was sent, or could not be
                looked into; unless sinks are only watched.
        """
        if self.over or not body:
            return
        try:
            self._look(body, more=more)
        except InjectionRefusedError:
            self.over = True
            raise
        except Exception as error:  # noqa: BLE001 - whatever fails here refuses
            self.over = True
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        why = str(error) if isinstance(error, UnreadableError) else type(error).__name__
        self._whom.refuse(SINK, f"the page could not be judged: {why}")

    def _look(self, body: bytes, *, more: bool) -> None:
        self._refresh()
        if not self._may_find() and not self._sees_all:
            return  # what is left of a body may still be read
        whole = not more and self._decoder is None and self._written[1] == [""]
        if self._decoder is None:
            self._decoder = Decoder(*self._written)
        pieces = self._decoder.pieces(body)
        if whole:
            self._read_whole("".join(pieces))
            return
        for piece in pieces:
            self._read(fold(piece))
            if self._sees_all:
                self._tell(piece)

    def _read_whole(self, page: str) -> None:
        folded = fold(page)
        if self._may_find():
            brought = self._brought
            closely = (
                bool(brought and brought.has_address)
                or self._is_xml
                or has_code_in_attributes(folded)
            )
            self._read(folded, () if closely else EXECUTING)
        if self._sees_all:
            self._tell(page)

    def _refresh(self) -> None:
        """Take in what the application has read since."""
        inputs = inputs_of(self._exchange)
        if inputs is not self._inputs:
            self._inputs = inputs
            self._brought = Brought(inputs, self._exchange.host)

    @property
    def _all_known(self) -> bool:
        return self._inputs is None or self._inputs.complete

    def _may_find(self) -> bool:
        return bool(self._brought) or not self._all_known

    @property
    def _sees_all(self) -> bool:
        """Whether the boundary map asks for every page."""
        sinks = self._exchange.sinks
        return sinks is not None and sinks.boundary_map is not None

    def _read(self, piece: str, names: Iterable[str] = ()) -> None:
        """Judge what is complete by now, and keep the rest.

        Args:
            piece: folded.
            names: of the elements that are looked at; without, all.
        """
        text = self._kept + piece
        kept = text.rfind("<")
        if kept < 0 or ">" in text[kept:]:
            kept = len(text)
        ends = Ends(text)
        for tag in tags_of(text, names):
            if self.over:
                return
            end = ends.of(tag)
            if end < 0:
                kept = min(kept, tag.start)
            else:
                self._judge(constructs_of(text, tag, end, is_xml=self._is_xml))
        if self._is_xml:
            self._judge(instructions_of(text))
        self._kept = text[max(kept, len(text) - _LONGEST) :]

    def _judge(self, constructs: Iterable[Construct]) -> None:
        for construct in constructs:
            objection = self._objection(construct)
            if objection is not None:
                self.over = True  # watched only, it is told once
                self._whom.refuse(SINK, *objection)
                return

    def _objection(self, construct: Construct) -> tuple[str, Input | None] | None:
        brought = self._brought.in_construct(construct) if self._brought else None
        if brought is not None:
            return f"the page would carry out {construct.what} that was sent", brought
        if self._all_known or not construct.code:
            return None
        nonce = fold(self._exchange.nonce)
        if nonce and construct.nonce == nonce:
            return None
        why = f"the page carries out {construct.what}, and not all is known of what was"
        return f"{why} sent", None

    def _tell(self, piece: str) -> None:
        """Tell the boundary map what of the request is shown, and how."""
        boundary_map = self._exchange.sinks.boundary_map
        shown, folded = html.unescape(piece), fold(piece)
        for found in self._whom.inputs.found_in(shown, least=2):
            special = not _SPECIAL.isdisjoint(found.input.text)
            raw = special and fold(found.input.text) in folded
            way = "raw" if raw else "escaped"
            boundary_map.reached(found.input, SINK.interpreter, SINK.driver, way)
