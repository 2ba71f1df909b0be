"""Model definitions are checked whole: every mistake with its place, and every contradiction."""

import pytest

from events import DeepCheck, HealthCheck, Tls
from producers.errors import InvalidModelDefinitionError
from producers.model_definitions.checked_definition import CheckedDefinition
from producers.model_definitions.definition_reader import DefinitionProblem
from producers.model_definitions.model_definition import resolve_health_check
from tests.producers.test_model_definition import checked, definition_of, with_health_check

MISTAKEN = """\
models:
  - name: tiny
    model-path: 5
    service:
      port: 0
      pre-start-actions: [{args: {}}, {action: a, args: x}]
      health-check:
        interval: 0
        max-retries: x
        deep: {interval: 0, preset: none-such, max-wait-time: 5}
        tls: {ca: no PEM}
        headers: {X-Token: "in\\tvalid"}
  - service: {port: 80, start_command: [a, 5], start-command: b}
    metadata: {label: x}
  - 7
"""


def told(problems: tuple[DefinitionProblem, ...]) -> list[tuple[int | None, int | None, str]]:
    return [(one.line, one.column, one.field) for one in problems]


def warned(read: CheckedDefinition) -> list[str]:
    assert read.mistakes == ()
    return [str(warning) for warning in read.warnings]


def test_every_mistake_is_told_at_once_with_its_line_and_column() -> None:
    read = checked(MISTAKEN)
    service = "models[0].service"
    assert told(read.mistakes) == [
        (3, 5, "models[0].model_path"),
        (5, 7, f"{service}.port"),
        (6, 27, f"{service}.pre_start_actions[0]"),
        (6, 51, f"{service}.pre_start_actions[1].args"),
        (8, 9, f"{service}.health_check.interval"),
        (9, 9, f"{service}.health_check.max_retries"),
        (10, 16, f"{service}.health_check.deep.interval"),
        (10, 29, f"{service}.health_check.deep.preset"),
        (11, 15, f"{service}.health_check.tls.ca"),
        (12, 9, f"{service}.health_check.headers"),
        (13, 5, "models[1]"),
        (13, 44, "models[1].service.start_command[1]"),
        (13, 48, "models[1].service.start_command"),
        (14, 16, "models[1].metadata.label"),
        (15, 5, "models[2]"),
    ]
    assert read.definition is None


def test_the_error_names_the_first_mistake_and_how_many_more_there_are() -> None:
    with pytest.raises(InvalidModelDefinitionError) as raised:
        definition_of(MISTAKEN)
    assert str(raised.value) == (
        "model-definition.yaml: models[0].model_path: 5 is not allowed: Expected `str | null`, got"
        " `int` (line 3, column 5); 14 more: `routestream model-definition check`"
    )


def test_what_is_no_yaml_is_one_mistake_with_its_place() -> None:
    [mistake] = checked("models:\n  - name: [").mistakes
    assert (mistake.line, mistake.column, mistake.field) == (2, 12, "")


def test_a_definition_without_fault_has_no_problems() -> None:
    read = checked("models: [{name: m, service: {port: 80, health_check: {path: /h}}}]")
    assert (read.mistakes, read.warnings, read.unused) == ((), (), ())


@pytest.mark.parametrize(
    ("block", "warning"),
    [
        (
            "{interval: 5, max_wait_time: 6}",
            "max_wait_time: the wait of 6 s is longer than the interval of 5 s: a probe",
        ),
        ("{interval: 9}", "max_wait_time: the wait of 15 s is longer than the interval of 9 s"),
        ("{connect_timeout: 16}", "connect_timeout: max_wait_time is shorter: 15 s"),
        ("{refused_retries: 11}", "refused_retries: max_retries is reached before: 10"),
        (
            "{expected_status: 200-299, expected_status_code: 204}",
            "expected_status_code: it is not used: expected_status is 200-299",
        ),
        ("{warm_up_time: 59}", "warm_up_time: the warm-up fails before the failures count"),
        ("{deep: {interval: 30}}", "deep.max_wait_time: the wait of 60 s is longer than the"),
    ],
)
def test_what_contradicts_itself_in_a_health_check_is_a_warning(block: str, warning: str) -> None:
    [found] = warned(checked(with_health_check(block)))
    assert found.startswith(f"models[0].service.health_check.{warning}")


@pytest.mark.parametrize(("block", "column"), [("{max_wait_time: 12}", 71), ("{interval: 9}", 56)])
def test_a_field_that_was_not_given_has_the_place_of_its_part(block: str, column: int) -> None:
    [warning] = checked(with_health_check(block)).warnings
    assert warning.field.endswith(".max_wait_time")
    assert (warning.line, warning.column) == (1, column)


@pytest.mark.parametrize(
    "block",
    [
        "{interval: 15}",
        "{max_wait_time: 10}",
        "{connect_timeout: 15, refused_retries: 10, warm_up_time: 60}",
        "{expected_status: 200}",
        "{initial_delay: 1800}",
        "{deep: {interval: 60}}",
    ],
)
def test_what_just_agrees_is_no_warning(block: str) -> None:
    assert warned(checked(with_health_check(block))) == []


def test_models_that_contradict_each_other_are_warnings() -> None:
    read = checked(
        """
        models:
          - {name: a, service: {port: 80, health_check: {path: /a}}}
          - {name: b}
          - {name: a, service: {port: 80, health_check: {path: /b}}}
        """
    )
    [name, port, health_check] = warned(read)
    assert name == "models[2].name: models[0] has the same name (line 5, column 6)"
    assert port.endswith(".service.port: models[0] listens at the same port (line 5, column 25)")
    assert health_check == (
        "models[2].service.health_check: it is not used: that of models[0] comes first"
        " (line 5, column 35)"
    )


class TestDefectsOfTheOriginal:
    def test_a_null_service_is_none(self) -> None:
        """bbac29b3bf: reading a definition with `service: null` raised an AttributeError."""
        definition = definition_of(
            "models: [{name: a, service: null}, {name: b, service: {port: 1, health_check: {}}}]"
        )
        assert resolve_health_check("custom", definition) is None

    @pytest.mark.parametrize(
        "field", ["interval", "max_retries", "max_wait_time", "expected_status_code", "enable"]
    )
    def test_a_null_field_is_its_default(self, field: str) -> None:
        """`interval: null` was legal for the manager and poisoned AppProxy's event."""
        definition = definition_of(with_health_check(f"{{path: /h, {field}: null}}"))
        assert definition.health_check == HealthCheck(path="/h")

    def test_a_missing_initial_delay_has_a_default(self) -> None:
        """BA-4108: a health check without an initial delay failed AppProxy's validation."""
        check = definition_of(with_health_check("{path: /h}")).health_check
        assert check is not None
        assert check.grace_s == 60.0

    def test_a_health_check_that_is_switched_off_is_none(self) -> None:
        """BA-758: the health check did not depend on `enable`."""
        definition = definition_of(with_health_check("{enable: false, path: /h, interval: 3}"))
        assert definition.health_check is None

    @pytest.mark.parametrize("variant", ["triton", "", "VLLM", "../vllm", "custom "])
    def test_an_unknown_variant_is_not_checked(self, variant: str) -> None:
        """Naming a variant that the enumeration lacked raised where an endpoint was read."""
        assert resolve_health_check(variant, definition_of(with_health_check("{path: /h}"))) is None

    def test_a_broken_health_check_names_all_its_fields_and_no_other_is_used(self) -> None:
        """A wrong block among others was read as no health check at all."""
        text = "models: [{name: a, service: {port: 1, health_check: {path: /h, interval: -1}}},"
        text += " {name: b, service: {port: 2, health_check: {path: /h}}}]"
        with pytest.raises(InvalidModelDefinitionError, match=r"interval: -1 is not allowed"):
            definition_of(text)


def test_all_fields_of_a_health_check_may_have_hyphens_in_its_parts_too() -> None:
    block = (
        "{kind: http, path: /h, method: HEAD, host-header: chat.example, headers: {X-Some-One: a},"
        " expected-status: [200, 204], tls: {verify: false}, connect-timeout: 1, keep-alive: true,"
        " rise: 2, refused-retries: 3, on-stale: unhealthy, warm-up-time: 1200,"
        " deep: {max-wait-time: 5, traffic-window: 0, path: null}}"
    )
    assert definition_of(with_health_check(block)).health_check == HealthCheck(
        path="/h",
        method="HEAD",
        host_header="chat.example",
        headers={"X-Some-One": "a"},
        expected_status="200,204",
        tls=Tls(verify=False),
        connect_timeout=1,
        keep_alive=True,
        rise=2,
        refused_retries=3,
        on_stale="unhealthy",
        warm_up_time=1200,
        deep=DeepCheck(model="m", max_wait_time=5, traffic_window=0),
    )


@pytest.mark.parametrize(("deep", "model"), [("{}", "m"), ("{model: other}", "other")])
def test_a_deep_check_asks_for_the_model_of_its_definition(deep: str, model: str) -> None:
    check = definition_of(with_health_check(f"{{path: /h, deep: {deep}}}")).health_check
    assert check == HealthCheck(path="/h", deep=DeepCheck(model=model))


def test_a_check_without_a_path_needs_none() -> None:
    definition = definition_of(with_health_check("{kind: tcp}"))
    assert definition.health_check == HealthCheck(kind="tcp")


def test_a_rule_between_fields_is_a_mistake_at_each_field_that_breaks_it() -> None:
    read = checked(with_health_check("{kind: tcp, path: /h, method: POST}"))
    check = "models[0].service.health_check"
    assert told(read.mistakes) == [(1, 82, f"{check}.path"), (1, 92, f"{check}.method")]


def test_unknown_keys_of_a_part_of_a_health_check_are_kept_and_warned_about() -> None:
    read = checked(with_health_check("{path: /h, deep: {tokens-max: 4}}"))
    assert warned(read) == [
        "models[0].service.health_check.deep.tokens_max: it is not used here (line 1, column 88)"
    ]
    service = read.usable.models[0].service
    assert service is not None
    assert service.extra == {"health_check": {"deep.tokens_max": 4}}


def test_metadata_has_both_names_of_its_dates() -> None:
    text = "models: [{name: m, metadata: {created_at: 2024-03-01, modified-at: 2024-04-01}}]"
    metadata = definition_of(text).models[0].metadata
    assert metadata is not None
    assert (metadata.created, metadata.last_modified) == ("2024-03-01", "2024-04-01")
