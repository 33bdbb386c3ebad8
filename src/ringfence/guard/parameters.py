"""What stands in the path of a request, for the policies that look at it."""

from __future__ import annotations

from difflib import get_close_matches

from ringfence.access.ownership.rules import is_about_rows
from ringfence.access.policy import Policy, Values
from ringfence.access.stage import ReadPath
from ringfence.errors import PlanError
from ringfence.exchange import Exchange
from ringfence.frameworks.table import Leaf
from ringfence.guard.index import route_path
from ringfence.interpreters.validation.paths import names_in, reader_of


def reads_path(policy: Policy, leaf: Leaf, root_path: str = "") -> ReadPath | None:
    """Return what reads the names in a route's path, if its policy looks at them.

    What is read here is compared before the application hears of the request; the
    route's entry then asks again about what the framework itself has read.

    Args:
        policy: of the route.
        leaf: the route.
        root_path: what the application takes for its own, whatever the server says.

    Raises:
        PlanError: the path has no such name; or the policy needs a row.

    Not covered: names in the pattern of a host; parameters whose convertor matches
    slashes: nobody's, unless it is Starlette's ``path``.
    """
    if is_about_rows(policy):
        raise PlanError(
            f"the policy of {leaf.path} [{leaf.place}], {policy}, is about rows: put "
            "it on the model, in @access.rows(...); for an id in the path there is "
            'access.own("user_id")'
        )
    asked = policy.parameters()
    if not asked:
        return None
    known = names_in(leaf.path)
    for name in sorted(asked - known):
        raise PlanError(_message(name, policy, leaf))
    below = "/{_below:path}" if leaf.kind == "mount" else ""
    read = reader_of(leaf.path.rstrip("/") + below)

    def values(exchange: Exchange) -> Values:
        root = root_path or exchange.scope.get("root_path", "")
        return dict(read(route_path(exchange.path, root)))

    return values


def _message(name: str, policy: Policy, leaf: Leaf) -> str:
    known = names_in(leaf.path)
    near = get_close_matches(name, known, n=1)
    has = f"its names are {', '.join(sorted(known))}" if known else "it has none"
    guess = f"did you mean {near[0]}?" if near else has
    return (
        f"the policy of {leaf.path} [{leaf.place}], {policy}, looks for {{{name}}} in "
        f"the path: {guess}"
    )
