"""RocketMQ as a target: the event as the body of a message, unsigned; the broker's own access control is the proof.

Unproven: written against the published interface of Apache's Python client, never run against a broker.
"""

from __future__ import annotations

from importlib import import_module
from ipaddress import IPv4Address
from typing import Any
from urllib.parse import urlsplit

from dashscribe.errors import ConfigError, DashscribeError
from dashscribe.fetch.address import Guard
from dashscribe.notify.deliveries import ClaimedDelivery


def send(delivery: ClaimedDelivery, guard: Guard, timeout_s: float) -> None:
    """Hand an event to a broker. Raises DashscribeError with the reason, ConfigError where the extra is missing.

    The message's key is the id of the event, its tag the status of the task.
    """
    client = _client()
    url = urlsplit(delivery.target.url)
    assert url.hostname and url.port, "targets are checked when they are added"
    # The client reads host:port only; the address that was judged is the one it gets, where TLS needs no name.
    address = next((a for a in guard.addresses(url.hostname, url.port) if _is_v4(a)), "")
    if not address:
        raise DashscribeError(f"{url.hostname} has no IPv4 address, which the RocketMQ client needs")
    access_key, _, secret_key = delivery.target.token.partition(":")
    try:
        _send(client, f"{address}:{url.port}", (access_key, secret_key), delivery, timeout_s)
    except DashscribeError:
        raise
    except Exception as error:  # the client raises exceptions of many packages, and plain ones
        raise DashscribeError(f"RocketMQ: {type(error).__name__}: {error}") from error


def _send(client: Any, endpoint: str, account: tuple[str, str], delivery: ClaimedDelivery, timeout_s: float) -> None:
    url = urlsplit(delivery.target.url)
    topic = url.path.lstrip("/")
    # Where nobody answers, the client waits twice: for the topic's route, and once more (seen with version 5.1.2).
    request_timeout = max(1, int(timeout_s) // 2)
    configuration = client.ClientConfiguration(endpoint, client.Credentials(*account), request_timeout=request_timeout)
    message = client.Message()
    message.topic = topic
    message.body = delivery.body.encode()
    message.keys = delivery.event_id
    message.tag = "AsyncTaskFinish"
    producer = client.Producer(configuration, (topic,), tls_enable=url.scheme == "rocketmqs")
    producer.startup()
    try:
        producer.send(message)
    finally:
        producer.shutdown()


def _client() -> Any:
    try:
        return import_module("rocketmq")
    except ImportError as error:
        raise ConfigError(
            "RocketMQ targets need its client on the machines of the workers: pip install 'dashscribe[rocketmq]'"
        ) from error


def _is_v4(address: str) -> bool:
    try:
        IPv4Address(address)
    except ValueError:
        return False
    return True
