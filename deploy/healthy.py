"""Say by the exit code whether the server in this container answers.

Asks for one public page under the name that browsers use, since the guard answers no
other. It says nothing about the stores on purpose: a server whose database is away is
answered with 503 and mended by itself; to restart it would help nobody.
"""

from __future__ import annotations

import http.client
import os
import sys
from urllib.parse import urlsplit

SECONDS = 2.0
PORT = int(os.environ.get("PORT", "8000"))
PATH = os.environ.get("HEALTH_PATH", "/static/shop.css")


def main() -> int:
    """Return 0 for a page, 1 for a refusal or none."""
    origins = os.environ.get("RINGFENCE_PUBLIC_ORIGINS", "")
    name = urlsplit(origins.partition(",")[0]).netloc or "127.0.0.1"
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=SECONDS)
    try:
        connection.request("GET", PATH, headers={"Host": name})
        return 0 if connection.getresponse().status < http.HTTPStatus.BAD_REQUEST else 1
    except OSError:
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
