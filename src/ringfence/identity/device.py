"""A few words for the browser that somebody signed in with."""

from __future__ import annotations

_MOST_BYTES = 512

# The order matters: most browsers also carry the names of those they imitate.
_BROWSERS = (
    (b"Edg", "Edge"),
    (b"OPR/", "Opera"),
    (b"SamsungBrowser/", "Samsung Internet"),
    (b"Firefox/", "Firefox"),
    (b"FxiOS/", "Firefox"),
    (b"CriOS/", "Chrome"),
    (b"Chrome/", "Chrome"),
    (b"Safari/", "Safari"),
    (b"curl/", "curl"),
    (b"python-httpx", "Python"),
    (b"python-requests", "Python"),
)
_SYSTEMS = (
    (b"iPhone", "iPhone"),
    (b"iPad", "iPad"),
    (b"Android", "Android"),
    (b"Windows", "Windows"),
    (b"CrOS", "ChromeOS"),
    (b"Mac OS X", "macOS"),
    (b"Linux", "Linux"),
)


def describe_device(user_agent: bytes) -> str:
    """Return ``Firefox on Linux``, say, from a ``User-Agent`` header.

    Only our own words come out, so that a header cannot put markup or control
    characters into a page, a list or a log.

    Not covered: it is what the client claims, good for recognising one's own devices.
    """
    text = user_agent[:_MOST_BYTES]
    browser = _first(_BROWSERS, text)
    system = _first(_SYSTEMS, text)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or "Unknown device"


def _first(names: tuple[tuple[bytes, str], ...], text: bytes) -> str:
    return next((name for mark, name in names if mark in text), "")
