"""Two processes that do the same at the same time."""

import subprocess
import sys

_BOUND_SECONDS = 60

_FRAME = """
import asyncio, sys
from ringfence.stores.open import open_stores

{calls}

async def main(url):
    stores = open_stores(url)
    await stores.start()
    sys.stdout.write("ready\\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for number in range({rounds}):
        print(*await asyncio.gather(*calls(stores, number)), sep="\\t", flush=True)
    await stores.stop()

asyncio.run(main(sys.argv[1]))
"""


def raced(url, calls, rounds):
    """Let two processes begin at once; return, for each round, what all its calls in
    both of them have returned, as text.

    Args:
        url: of the database.
        calls: source of ``calls(stores, number)``, which returns the coroutines of a
            round.
        rounds: how many.
    """
    source = _FRAME.format(calls=calls, rounds=rounds)
    racing = [
        subprocess.Popen(
            [sys.executable, "-c", source, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for one in racing:
        assert one.stdout.readline() == "ready\n"
    for one in racing:
        one.stdin.write("go\n")
        one.stdin.flush()
    said = [one.communicate(timeout=_BOUND_SECONDS)[0].splitlines() for one in racing]
    return [
        [word for line in lines for word in line.split("\t")]
        for lines in zip(*said, strict=True)
    ]
