"""Adds to an upload and kills itself at a moment: ``killed_writer.py HOME DATABASE STORE KEY MOMENT``."""

import os
import random
import signal
import sys
from pathlib import Path

from durable import Home

from dashscribe import arrivals
from dashscribe.uploads import UploadBook

CONTENT = random.Random(5).randbytes(3000)


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(folder: str, database: str, store: str, key: str, moment: str) -> None:
    arrivals.LEASE_MS = 500
    home = Home(Path(folder), database_url=database, store_url=store)
    with home.uploads.resume("default", key) as arrival:
        arrival.write(CONTENT[:1000], may_save=False)
        arrival.save()
        arrival.write(CONTENT[1000:2000], may_save=False)
        put = home.store.put
        if moment == "before the blob":
            die()
        if moment == "after the blob":
            home.store.put = lambda key, data: (put(key, data), die())  # type: ignore[method-assign]
        arrival.save()
        arrival.write(CONTENT[2000:], may_save=False)
        if moment == "after the row":
            die()
        arrival.save()
        UploadBook._settle = die  # type: ignore[method-assign]
        arrival.settle()


if __name__ == "__main__":
    main(*sys.argv[1:])
