"""Permissions-Policy: which features of the device pages may use."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ringfence.errors import SettingsError

DENIED: Mapping[str, str] = MappingProxyType(
    {
        # What watches, listens, locates or pays; pages that need it say so.
        "accelerometer": "()",
        "camera": "()",
        "display-capture": "()",
        "geolocation": "()",
        "gyroscope": "()",
        "magnetometer": "()",
        "microphone": "()",
        "midi": "()",
        "payment": "()",
        "usb": "()",
    }
)
"""What no page may use, unless settings say otherwise."""

# W3C permissions registry, the list of the Permissions Policy repository, and what
# Chromium 156 knows (document.featurePolicy.features()), without client hints.
_KNOWN = (
    *DENIED,
    "all-screens-capture",
    "ambient-light-sensor",
    "aria-notify",
    "attribution-reporting",
    "autofill",
    "autoplay",
    "battery",
    "bluetooth",
    "browsing-topics",
    "captured-surface-control",
    "clipboard-read",
    "clipboard-write",
    "compute-pressure",
    "controlled-frame",
    "cross-origin-isolated",
    "deferred-fetch",
    "deferred-fetch-minimal",
    "digital-credentials-create",
    "digital-credentials-get",
    "direct-sockets",
    "encrypted-media",
    "execution-while-not-rendered",
    "execution-while-out-of-viewport",
    "focus-without-user-activation",
    "fullscreen",
    "gamepad",
    "hid",
    "identity-credentials-get",
    "idle-detection",
    "join-ad-interest-group",
    "keyboard-map",
    "language-detector",
    "language-model",
    "local-fonts",
    "local-network",
    "local-network-access",
    "loopback-network",
    "media-playback-while-not-visible",
    "mediasession",
    "navigation-override",
    "on-device-speech-recognition",
    "otp-credentials",
    "picture-in-picture",
    "private-aggregation",
    "private-state-token-issuance",
    "private-state-token-redemption",
    "publickey-credentials-create",
    "publickey-credentials-get",
    "rewriter",
    "run-ad-auction",
    "screen-wake-lock",
    "serial",
    "shared-storage",
    "smart-card",
    "speaker-selection",
    "storage-access",
    "summarizer",
    "sync-xhr",
    "translator",
    "unload",
    "vertical-scroll",
    "web-share",
    "window-management",
    "writer",
    "xr-spatial-tracking",
)
_HINT = re.compile(r"ch-[a-z0-9-]+")  # client hints: a family that keeps growing
_WITHDRAWN = frozenset({"document-domain", "interest-cohort", "speaker", "vr"})

_ORIGIN = r'"https?://[^"\s/]+"'
_ALLOWLIST = re.compile(rf"\*|\(\)|\((?:self|{_ORIGIN})(?: (?:self|{_ORIGIN}))*\)")


def parse_features(features: Iterable[str]) -> dict[str, str]:
    """Return who may use each feature, by its name.

    Args:
        features: each as ``name=allowlist``: ``camera=()`` for nobody,
            ``camera=(self)`` for pages from here,
            ``camera=(self "https://meet.example")``, or ``camera=*``.

    Raises:
        SettingsError: browsers would ignore one of them, and a wrong one of a line
            takes all others with it; says which and the likely fix.

    Source: W3C Permissions Policy, 5.2 and 9; RFC 9651.
    """
    found: dict[str, str] = {}
    for feature in features:
        name, equals, allowlist = feature.partition("=")
        _check_name(name)
        if not equals or not _ALLOWLIST.fullmatch(allowlist):
            raise SettingsError(_wrong_allowlist(feature, name, allowlist))
        if name in found:
            raise SettingsError(
                f"browser.permissions_policy: {name!r} stands there twice; browsers "
                "take the last one"
            )
        found[name] = allowlist
    return found


def render_features(features: Mapping[str, str]) -> bytes:
    """Return the value of the header."""
    return ", ".join(f"{name}={who}" for name, who in features.items()).encode("ascii")


def _check_name(name: str) -> None:
    if name in _KNOWN or _HINT.fullmatch(name):
        return
    written = name.strip().partition(" ")[0].strip("'\":").lower().replace("_", "-")
    if written in _WITHDRAWN:
        cure = "; it has been withdrawn, take it out"
    elif written in _KNOWN:
        cure = f"; write '{written}=()' for nobody or '{written}=(self)'"
    else:
        guesses = difflib.get_close_matches(written, _KNOWN, n=1)
        cure = f"; did you mean {guesses[0]!r}?" if guesses else ""
    raise SettingsError(
        f"browser.permissions_policy: there is no feature {name!r}{cure}"
    )


def _wrong_allowlist(feature: str, name: str, allowlist: str) -> str:
    words = [word.strip("'\"()") for word in allowlist.split()]
    origins = [f'"{word}"' for word in words if word.startswith(("http:", "https:"))]
    inside = " ".join((*(word for word in words if word == "self"), *origins))
    return (
        f"browser.permissions_policy: {feature!r} is not understood by browsers; write "
        f"'{name}=({inside})'"
        + ("" if inside else f" for nobody or '{name}=(self)' for pages from here")
    )
