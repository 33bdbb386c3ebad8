"""Pages that use the browser client, and tabs of one browser that open them."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

PATIENCE = 10_000  # milliseconds
PHONE = {"width": 360, "height": 740}

# The test asks for what a page of its own would keep to itself: the client as `rf`.
_PAGE = """<!doctype html><html lang=en><meta charset=utf-8>
<meta name=viewport content="width=device-width, initial-scale=1">
<meta name=color-scheme content="light dark">{meta}
<title>{title}</title><script type=module src=/app.js></script>
<body><h1>{title}</h1><p>{text}</p><button id=before>Send</button></body></html>"""

_SCRIPT = """
import { ringfence, RingfenceProblem } from "/auth/assets/ringfence.js";
window.RingfenceProblem = RingfenceProblem;
window.rf = ringfence();
"""

# What a script that got into the page could find.
STORED = """async () => ({
    local: Object.keys(localStorage),
    session: Object.keys(sessionStorage),
    databases: (await indexedDB.databases()).map((one) => one.name),
    caches: await caches.keys(),
    cookies: document.cookie,
    globals: Object.keys(window).filter((name) => /ring|token|csrf/i.test(name)),
})"""

EMPTY = {
    "local": [],
    "session": [],
    "databases": [],
    "caches": [],
    "cookies": "",
    "globals": ["RingfenceProblem"],
}

SEND = """async ([path, init]) => {
    const answer = await rf.fetch(path, init);
    const text = await answer.text();
    try { return [answer.status, JSON.parse(text)]; }
    catch { return [answer.status, text]; }
}"""


def page(title: str, text: str = "", csrf_token: str = "") -> HTMLResponse:
    """Answer with a page whose script makes a client."""
    meta = f'<meta name="csrf-token" content="{csrf_token}">' if csrf_token else ""
    return HTMLResponse(_PAGE.format(title=title, text=text, meta=meta))


async def script(request: Request) -> Response:
    return Response(_SCRIPT, media_type="text/javascript")


@dataclass
class Tab:
    """One tab, and what went wrong in it.

    Args:
        page: Playwright's.
    """

    page: object
    errors: list[str] = field(default_factory=list)

    def __post_init__(self):
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._hear)

    def goto(self, path):
        """Open a page, and wait for its client."""
        self.page.goto(path)
        self.until("window.rf")
        return self

    def run(self, expression, argument=None):
        return self.page.evaluate(expression, argument)

    def send(self, path, **init):
        """Send by the client; return the status and what was answered."""
        return self.page.evaluate(SEND, [path, init])

    def post(self, path, body="{}", kind="application/json"):
        headers = {"content-type": kind}
        return self.send(path, method="POST", headers=headers, body=body)

    def until(self, condition):
        """Wait until a condition of the page holds. Not Playwright's own waiting: that
        evaluates text, which the page's policy refuses."""
        bounded = f"""() => new Promise((resolve, reject) => {{
            const end = Date.now() + {PATIENCE};
            const look = () => {{
                if ({condition}) resolve();
                else if (Date.now() > end) reject(new Error("never held"));
                else setTimeout(look, 10);
            }};
            look();
        }})"""
        self.page.evaluate(bounded)

    def begin(self, expression):
        """Begin what the test waits for later, by ``finished``."""
        self.page.evaluate(
            f"() => {{ window.done = undefined; ({expression})().then("
            "(value) => { window.done = [value]; },"
            "(error) => { window.done = [String(error.code ?? error)]; }); }"
        )

    def finished(self):
        self.until("window.done")
        return self.page.evaluate("window.done[0]")

    def violations(self):
        """Return what the Content-Security-Policy and Trusted Types have refused."""
        return self.page.evaluate("window.__violations")

    def _hear(self, message):
        # A refusal that the client answers is a line in the browser's console, too.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(message.text)
