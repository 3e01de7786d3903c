"""What the OpenAPI document allows, and what it does not, sent to each of its operations: no 5xx, always an answer.

``FUZZ_CALLS=20000 FUZZ_SEED=7 pytest -n 0 -s tests/wire/test_openapi_fuzz.py`` is the full run; the suite makes 700.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from math import ceil

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance
from wire_servers import KEY, Desk, open_desk

#: A source that does not come is given up soon: most addresses here are made up.
SOON_S = 2.0
CALLS = int(os.environ.get("FUZZ_CALLS", "700"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
#: What every answer has to satisfy; the last two wherever the document says what an answer is.
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("fuzz"), fetch_timeout_s=SOON_S) as opened:
        yield opened


@pytest.mark.slow
def test_no_operation_of_the_document_fails_whatever_it_is_sent(desk: Desk) -> None:
    document = schemathesis.openapi.from_asgi("/openapi.json", desk.app)
    operations = [result.ok() for result in document.get_all_operations()]
    assert len(operations) > 25
    statuses: Counter[int] = Counter()
    turn = SEED
    while statuses.total() < CALLS:  # what operations that take little do not use up is for the next turn
        share = ceil((CALLS - statuses.total()) / (2 * len(operations)))
        for operation in operations:
            assert sent(operation, schemathesis.GenerationMode.POSITIVE, share, turn, statuses), operation.label
            with suppress(Unsatisfiable):  # some take nothing that could be wrong
                sent(operation, schemathesis.GenerationMode.NEGATIVE, share, turn, statuses)
        turn += 1
    print(f"\n{statuses.total()} calls of {len(operations)} operations, seed {SEED}: {sorted(statuses.items())}")  # noqa: T201


def sent(
    operation: APIOperation, mode: schemathesis.GenerationMode, most: int, turn: int, statuses: Counter[int]
) -> int:
    """How many requests an operation answered without a server error."""
    before = statuses.total()

    @seed(turn)
    @settings(max_examples=most, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: schemathesis.Case) -> None:
        response = case.call(headers={"Authorization": f"Bearer {KEY}"})
        case.validate_response(response, checks=CHECKS)
        statuses[response.status_code] += 1

    send()
    return statuses.total() - before
