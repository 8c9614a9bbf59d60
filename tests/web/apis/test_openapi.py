"""Requests written by schemathesis from the OpenAPI document: that fit it, and that do not."""

import pytest
from hypothesis import HealthCheck, given, settings
from needs import needs
from served_library import BEARER, TOKEN, snapshot_of, write_served
from web_server import write_recall

from audiorec.web.apis.own import OPERATIONS

schemathesis = needs("schemathesis")
needs("httpx")
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "ignored_auth",
    "unsupported_method",
]
EXAMPLES = 25
QUIET = settings(
    max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    from schemathesis import checks

    from audiorec.web.apis.routes import ApiServer
    from audiorec.web.editions import Editions
    from audiorec.web.gate import Gate
    from audiorec.web.limits import RequestLimits

    checks.load_all_checks()
    store = write_served(tmp_path_factory.mktemp("served"))
    snapshot = snapshot_of(store, recall=write_recall(store))
    limits = RequestLimits(rate=0, guesses=0)
    apis = ApiServer(Editions([], lambda: snapshot), TOKEN, gate=Gate(limits)).application
    return schemathesis.openapi.from_asgi("/v1/openapi.json", apis)


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda m: m.value)
@pytest.mark.parametrize("name", [operation.name for operation in OPERATIONS])
def test_answers_are_as_the_document_says(schema, name, mode):
    from schemathesis import checks

    operation = schema.find_operation_by_id(name)
    wanted = checks.CHECKS.get_by_names(CHECKS)

    @QUIET
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case):
        case.call_and_validate(headers=BEARER, checks=wanted)

    check()
