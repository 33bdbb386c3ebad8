"""Where a browser goes after signing in: only to a path of this site."""

from __future__ import annotations

_MOST_CHARACTERS = 2048


def same_site_path(target: str, otherwise: str) -> str:
    r"""Return ``target`` if every browser takes it for a path of this site.

    Stops open redirects: ``//evil.example`` and ``/\evil.example`` name another host,
    a tab or a line break inside is dropped by browsers before they look, and ``https:``
    or ``user@host`` lead away (CVE-2021-32618, CVE-2023-49438).

    Args:
        target: as submitted, from the field or the query ``next``.
        otherwise: the path to go to if ``target`` is none of ours.

    Source: WHATWG URL, section 4.4 (basic URL parser); CWE-601; ASVS 5.0 V3.7.2.
    """
    ours = (
        target.startswith("/")
        and not target.startswith("//")
        and "\\" not in target
        and len(target) <= _MOST_CHARACTERS
        and all("!" <= character <= "~" for character in target)
    )
    return target if ours else otherwise
