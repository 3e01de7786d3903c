"""OpenStack Swift with its S3 interface, all four of its servers in one process, in one folder, on loopback.

Run by the system's Python, since that is what Debian's packages are for: ``python3 swift_server.py FOLDER PORT``. What
is stored survives in the folder. It ends with its standard input, so that it never outlives whoever started it.
"""

import os
import socket
import sys
from pathlib import Path

import eventlet

eventlet.monkey_patch()

from swift.common import utils, wsgi  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402

#: What the tests sign with.
ACCOUNT, USER, KEY = "test", "tester", "testing"
_PARTS = 4  # 2**4 partitions on one device: nothing is spread here
# All four servers share one thread: one that has to wait for a disk must not look dead to another, which would put off
# to a program that does not run here that a blob is listed.
_STORAGE = """
[DEFAULT]
devices = {folder}/devices
mount_check = false
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
swift_dir = {folder}
conn_timeout = 60
node_timeout = 60
container_update_timeout = 60
log_address = /dev/null
log_level = ERROR
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
_PROXY = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
swift_dir = {folder}
conn_timeout = 60
node_timeout = 60
log_address = /dev/null
log_level = ERROR
[pipeline:main]
pipeline = catch_errors gatekeeper s3api tempauth bulk slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{user} = {key} .admin
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
"""


class NoCache:
    """What the servers take for memcached, which has always just forgotten everything."""

    def get(self, key: str, **_: object) -> None:
        return None

    def set(self, key: str, value: object, **_: object) -> None:
        pass

    def delete(self, key: str, **_: object) -> None:
        pass

    def incr(self, key: str, **_: object) -> int:
        return 0


def main(folder: Path, port: int) -> None:
    utils.HASH_PATH_PREFIX, utils.HASH_PATH_SUFFIX = b"", b"test"
    utils.validate_hash_conf = lambda: None  # the machine's own /etc/swift is none of our business
    (folder / "devices" / "d1").mkdir(parents=True, exist_ok=True)
    listeners = {kind: _listen() for kind in ("account", "container", "object")}
    listeners["proxy"] = _listen(port)
    for kind, listener in listeners.items():
        if kind != "proxy":
            _write_ring(folder, kind, listener.getsockname()[1])
    for kind, listener in listeners.items():
        text = _PROXY if kind == "proxy" else _STORAGE
        config = folder / f"{kind}.conf"
        values = {"kind": kind, "folder": folder, "port": listener.getsockname()[1]}
        config.write_text(text.format(account=ACCOUNT, user=USER, key=KEY, **values))
    for kind in ("account", "container", "object", "proxy"):
        app = wsgi.loadapp(str(folder / f"{kind}.conf"))
        served = _without_memcached(app) if kind == "proxy" else app
        eventlet.spawn(eventlet.wsgi.server, listeners[kind], served, open(os.devnull, "w"))  # noqa: PTH123, SIM115
    eventlet.tpool.execute(sys.stdin.read)


def _without_memcached(app):
    def answer(environ, start_response):
        environ["swift.cache"] = NoCache()
        return app(environ, start_response)

    return answer


def _listen(port: int = 0) -> socket.socket:
    return eventlet.listen(("127.0.0.1", port), backlog=256)


def _write_ring(folder: Path, kind: str, port: int) -> None:
    builder = RingBuilder(_PARTS, 1, 1)
    builder.add_dev(
        {"id": 0, "region": 1, "zone": 1, "weight": 1.0, "ip": "127.0.0.1", "port": port, "device": "d1",
         "replication_ip": "127.0.0.1", "replication_port": port, "meta": ""}
    )  # fmt: skip
    builder.rebalance()
    builder.get_ring().save(str(folder / f"{kind}.ring.gz"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
