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
from ringfence.interpreters.html.tags import Tag, tags_of
from ringfence.interpreters.sink import Here, Sink
from ringfence.interpreters.untrusted import Input, Inputs, fold, inputs_of

SINK = Sink("html", "page")

_LONGEST = 262_144  # characters of one tag or script that has not ended yet
_MOST_AGAIN = 200_000  # attributes that are read with one piece and again with the next
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
        self._seen = 0  # up to where in it tags have been found
        self._open: list[int] = []  # where tags begin of which that is not all
        self._scripts: list[int] = []  # and those of which the content is not all
        self._read_again = 0  # attributes
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
        if ">" not in piece:  # nothing has become complete
            first = text.find("<", self._seen)
            self._keep(text, first if first >= 0 else len(text))
            return
        ends = Ends(text)
        again, self._open = self._open, []
        if ends.come_after(self._seen):
            again, self._scripts = [*self._scripts, *again], []
        for tag in tags_of(text, names, start=self._seen, again=again):
            if self.over:
                return
            end = ends.of(tag)
            if end >= 0:
                self._judge(constructs_of(text, tag, end, is_xml=self._is_xml))
            else:
                self._leave_open(tag, is_again=tag.start < self._seen)
        if self._is_xml:
            self._judge(instructions_of(text))
        last = text.rfind("<")  # half a name, maybe
        self._keep(text, last if last >= 0 > text.find(">", last) else len(text))

    def _leave_open(self, tag: Tag, *, is_again: bool) -> None:
        """Remember a tag that is not complete.

        Raises:
            ValueError: it would be read again with each piece, and has so many
                attributes that this would take minutes (CWE-407).
        """
        (self._open if tag.end < 0 else self._scripts).append(tag.start)
        if is_again:
            self._read_again += len(tag.attributes)
            if self._read_again > _MOST_AGAIN:
                message = "a tag has too many attributes and no end"
                raise ValueError(message)

    def _keep(self, text: str, seen: int) -> None:
        """Keep what has begun and not ended.

        Args:
            text: that has been read.
            seen: from where on tags are still to be found.
        """
        kept = min([seen, *self._open, *self._scripts])
        gone = max(kept, len(text) - _LONGEST)
        self._kept, self._seen = text[gone:], max(seen - gone, 0)
        self._open = [at - gone for at in self._open if gone <= at < seen]
        self._scripts = [at - gone for at in self._scripts if gone <= at < seen]

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
