"""What the OpenAPI document allows, and what it does not, sent to each of its operations: no 5xx, always an answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import APIOperation
from wire_servers import KEY, Desk, open_desk

#: A source that does not come is given up soon: most addresses here are made up.
SOON_S = 2.0
few = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("fuzz"), fetch_timeout_s=SOON_S) as opened:
        yield opened


@pytest.mark.slow
def test_no_operation_of_the_document_fails_whatever_it_is_sent(desk: Desk) -> None:
    document = schemathesis.openapi.from_asgi("/openapi.json", desk.app)
    operations = [result.ok() for result in document.get_all_operations()]
    assert len(operations) > 25
    for operation in operations:
        assert sent(operation, schemathesis.GenerationMode.POSITIVE), operation.label
        with suppress(Unsatisfiable):  # some take nothing that could be wrong
            sent(operation, schemathesis.GenerationMode.NEGATIVE)


def sent(operation: APIOperation, mode: schemathesis.GenerationMode) -> int:
    """How many requests an operation answered without a server error."""
    count = 0

    @few
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: schemathesis.Case) -> None:
        nonlocal count
        response = case.call(headers={"Authorization": f"Bearer {KEY}"})
        case.validate_response(response, checks=[not_a_server_error])
        count += 1

    send()
    return count
