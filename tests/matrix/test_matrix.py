"""Every way to every interpreter, on both loops, in every place code can run in."""

import pytest
from tests.matrix.cells import CELLS
from tests.matrix.rendering import PAGE, render
from tests.matrix.runner import places_of
from tests.matrix.tried import LOOPS, attempt, world
from tests.servers.mongo import running_mongo

REFUSED = {"403", "raised"}
ASKED = [(cell.name, place) for cell in CELLS for place in places_of(cell)]


@pytest.fixture(scope="module")
def runs(postgres_server, tmp_path_factory):
    """What became of every cell, with the guard off and on."""
    folder = tmp_path_factory.mktemp("matrix")
    with postgres_server.database() as database, running_mongo() as mongo:
        made = world(folder, database, mongo)
        return {
            loop: {guard: attempt(made, loop, guard) for guard in ("off", "on")}
            for loop in LOOPS
        }


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("guard", ["off", "on"])
def test_attacks(runs, loop, guard):
    """Each is carried out without the guard, and none with it."""
    found = runs[loop][guard]
    wrong = {
        (name, place): found[name][place]
        for name, place in ASKED
        if (found[name][place] in REFUSED) != (guard == "on")
    }
    assert not wrong


def test_page_is_up_to_date(runs):
    """What is stated is what was tried: python -m tests.matrix.rendering."""
    assert PAGE.read_text("utf-8") == render(runs)
