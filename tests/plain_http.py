"""HTTP to the servers that the tests start: no TLS, no proxy, a connection for each request.

A client of its own for each request would read all certificates of the world each time, which takes longer than most
answers and, when a test asks again and again, more processor time than what it waits for.
"""

import httpx

#: For any number of threads. Connections are not kept: the server may have been killed meanwhile.
loopback = httpx.Client(verify=False, trust_env=False, timeout=60, limits=httpx.Limits(max_keepalive_connections=0))


def client(base_url: str, **how: object) -> httpx.Client:
    """A client of one server that keeps its connection."""
    return httpx.Client(base_url=base_url, verify=False, trust_env=False, **how)  # type: ignore[arg-type]
