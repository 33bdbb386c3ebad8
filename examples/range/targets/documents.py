"""A document reads files (guide: "XML or LDAP queries"; CWE-611, CWE-776)."""

from __future__ import annotations

import io
from xml.sax import SAXParseException
from xml.sax.expatreader import ExpatParser
from xml.sax.handler import ContentHandler, feature_external_ges

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from examples.range.target import Target


class _Text(ContentHandler):
    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def characters(self, content: str) -> None:
        self.pieces.append(content)


async def read(request: Request) -> Response:
    """With the feature that many recipes switch on, so that entities are resolved."""
    reader, text = ExpatParser(), _Text()
    reader.setFeature(feature_external_ges, True)  # noqa: FBT003 - SAX has it so
    reader.setContentHandler(text)
    try:
        reader.parse(io.BytesIO(await request.body()))
    except SAXParseException as error:
        return JSONResponse({"detail": str(error)}, 400)
    return JSONResponse({"text": "".join(text.pieces)})


TARGETS = (Target("POST", "/xml", read, "XXE: entities read files of the server"),)
