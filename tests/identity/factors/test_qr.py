"""The QR code is a drawing of paths, and says what it was made of."""

import re

import pytest
import segno

from ringfence.identity.factors.qr import draw

URI = "otpauth://totp/Shop:ann%40example.com?secret=JBSWY3DPEHPK3PXP&issuer=Shop"
BAR = re.compile(r"M(\d+) (\d+)h(\d+)v1h-(\d+)z")


def test_draws_the_modules_of_the_code_within_its_border():
    """Painted back into squares it is what segno has made."""
    drawing = draw(URI)
    expected = segno.make(URI, error="m", micro=False).matrix
    assert drawing.size == len(expected) + 8
    painted = {
        (int(x) + step, int(y))
        for x, y, length, back in BAR.findall(drawing.path)
        for step in range(int(length))
        if length == back
    }
    assert painted == {
        (x + 4, y + 4)
        for y, row in enumerate(expected)
        for x, module in enumerate(row)
        if module
    }


def test_is_nothing_but_paths():
    """So that no template has to trust it, and no policy has to allow it."""
    assert BAR.sub("", draw(URI).path) == ""


def test_refuses_what_is_too_long():
    with pytest.raises(ValueError, match="Data too large"):
        draw("x" * 5_000)
