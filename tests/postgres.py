"""A real PostgreSQL for the tests: a cluster per test process, an empty database at the newest schema per test.

Nothing is kept, so fsync is off but for those who kill the server itself.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest

from dashscribe.db import open_database
from ports import free_port

TEMPLATE = "dashscribe_template"
_numbers = count()


def programs() -> Path | None:
    """The folder of ``initdb`` and its like, of the newest version that Debian has installed or that is on the PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    found = shutil.which("initdb")
    return next((f for f in folders if (f / "initdb").exists()), Path(found).parent if found else None)


class Cluster:
    """One PostgreSQL server on a socket and a port of the loopback, in a folder that goes with it."""

    def __init__(self, *, durable: bool = False, networks: tuple[str, ...] = (), brief: bool = False) -> None:
        """Start it; ``brief``, no database of it lives so long that clearing up in it would be worth anything."""
        bin_folder = programs()
        if bin_folder is None:
            pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
        self._bin = bin_folder
        # PostgreSQL refuses to run as root; Debian's package makes a user for it.
        self._user = pwd.getpwnam("postgres").pw_uid if os.getuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="dashscribe-pg-"))
        if self._user is not None:
            os.chown(self.folder, self._user, -1)
        self.port = free_port()
        self._brief = brief
        self._admin: psycopg.Connection | None = None
        self._run("initdb", "-D", self.folder / "data", "-U", "test", "--auth=trust", "--no-sync", "-E", "UTF8")
        settings = f"port={self.port}\nunix_socket_directories='{self.folder}'\n"
        settings += f"listen_addresses='{'*' if networks else '127.0.0.1'}'\n"
        settings += "max_connections=400\nshared_buffers=32MB\nlog_min_messages=fatal\nlog_lock_waits=on\n"
        settings += "autovacuum=off\n" if brief else ""
        settings += "" if durable else "fsync=off\nsynchronous_commit=off\nfull_page_writes=off\n"
        with (self.folder / "data" / "postgresql.conf").open("a") as file:
            file.write(settings)
        with (self.folder / "data" / "pg_hba.conf").open("a") as file:
            file.writelines(f"host all all {network} trust\n" for network in networks)
        self.start()

    def _run(self, program: str, *arguments: object) -> None:
        subprocess.run(
            [self._bin / program, *map(str, arguments)],
            check=True,
            user=self._user,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        )

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._run("pg_ctl", "-D", self.folder / "data", "-l", self.folder / "log", "-w", "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server; ``immediate`` is what a crash looks like."""
        if self._admin:
            self._admin.close()
            self._admin = None
        self._run("pg_ctl", "-D", self.folder / "data", "-m", mode, "-w", "stop")

    def remove(self) -> None:
        """Stop it for good."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str) -> str:
        """What ``DASHSCRIBE_DATABASE_URL`` is for a database."""
        return f"postgresql://test@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str) -> list[tuple]:
        """Run a statement as the cluster's owner."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def new_database(self) -> str:
        """The URL of an empty database at the newest schema."""
        if self._admin is None:
            self._admin = psycopg.connect(self.url("postgres"), autocommit=True)
        if not self._admin.execute(f"SELECT 1 FROM pg_database WHERE datname = '{TEMPLATE}'").fetchone():
            self._admin.execute(f"CREATE DATABASE {TEMPLATE}")
            open_database(self.url(TEMPLATE)).dispose()
        name = f"t{next(_numbers)}_{time.time_ns()}"
        # By its files it takes half as long, where nothing is flushed to a disk; older versions know no other way.
        by_files = "STRATEGY file_copy" if self._brief and self._admin.info.server_version >= 150_000 else ""
        self._admin.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} {by_files}")
        return self.url(name)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The PostgreSQL of this test process; skips where there is none."""
    found = Cluster(brief=True)
    yield found
    found.remove()
