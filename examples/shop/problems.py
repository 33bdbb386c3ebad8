"""What goes wrong in the shop, as exceptions with a public sentence each."""

from __future__ import annotations


class ShopError(Exception):
    """Args:
    status: the HTTP status.
    code: a stable name, ``shop.reason``.
    detail: one sentence for whoever asked.
    """

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail


def not_found(what: str) -> ShopError:
    """Also the answer for what belongs to somebody else: 403 would tell that it
    exists."""
    return ShopError(404, "shop.not_found", f"There is no such {what}.")


def not_enough_credit() -> ShopError:
    return ShopError(409, "shop.not_enough_credit", "Your credit does not cover this.")
