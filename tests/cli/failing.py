"""Two workers, of which the second ends by itself and can never start again."""

import os
import socket
import sys
import threading
from pathlib import Path

from ringfence.cli.leash import Leash, Ready, Serving
from ringfence.cli.workers import Patience, Workers
from ringfence.errors import SettingsError
from ringfence.guard.fingerprint import Fingerprint

LIKE_ALL = Fingerprint("1", (), {}, ("key",))


def work(number, end):
    leash = Leash(end, patience=1.0)
    leash.hold()
    second = Path("second")
    if number == 2 and second.exists():
        sys.exit(7)
    leash.say(Ready(LIKE_ALL, ""))
    leash.may_go()
    leash.say(Serving())
    while number == 1 or not second.exists():
        threading.Event().wait(0.01)
    os._exit(9)


def main():
    with socket.create_server(("127.0.0.1", 0)) as bound:
        patience = Patience(first=0.01, longest=0.02, most=3)
        workers = Workers(bound, work, count=2, grace=0, patience=patience)
        try:
            workers.run(lambda _: Path("second").touch())
        except SettingsError as error:
            sys.stdout.write(f"{error}\n")


if __name__ == "__main__":
    main()
