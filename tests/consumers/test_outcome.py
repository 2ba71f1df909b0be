import pytest

from consumers.errors import UnprocessableError
from consumers.runtime.outcome import (
    DeadLetter,
    Handled,
    Outcome,
    Retry,
    RetryPolicy,
    Skipped,
    given_up_unseen,
    outcome_of,
)
from events.errors import UndecodableEntryError, UnknownEventTypeError

POLICY = RetryPolicy(tries_max=3, first_s=1.0, most_s=10.0)


@pytest.mark.parametrize(
    ("error", "deliveries", "outcome"),
    [
        (None, 1, Handled()),
        (None, 3, Handled()),
        (None, 9, Handled()),
        (UnknownEventTypeError("route_painted"), 1, Skipped()),
        (UnknownEventTypeError("route_painted"), 9, Skipped()),
        (UndecodableEntryError("no JSON"), 1, DeadLetter("undecodable", "no JSON")),
        (UnprocessableError("no such host"), 1, DeadLetter("unprocessable", "no such host")),
        (ValueError("odd"), 3, DeadLetter("failed 3 times", "ValueError: odd")),
        (ValueError("odd"), 9, DeadLetter("failed 9 times", "ValueError: odd")),
        (TimeoutError(), 3, DeadLetter("failed 3 times", "TimeoutError: ")),
    ],
)
def test_an_outcome_follows_from_the_error_and_the_deliveries(
    error: Exception | None, deliveries: int, outcome: Outcome
) -> None:
    assert outcome_of(error, deliveries, POLICY) == outcome


@pytest.mark.parametrize(("deliveries", "least_s", "most_s"), [(1, 0.5, 1.0), (2, 1.0, 2.0)])
def test_a_failure_is_tried_again_after_a_delay_that_doubles(
    deliveries: int, least_s: float, most_s: float
) -> None:
    outcome = outcome_of(ValueError("odd"), deliveries, POLICY)

    assert isinstance(outcome, Retry)
    assert least_s <= outcome.after_s <= most_s


def test_the_delay_before_a_try_has_a_limit() -> None:
    patient = RetryPolicy(tries_max=1_000, first_s=1.0, most_s=10.0)
    outcome = outcome_of(ValueError("odd"), 999, patient)

    assert isinstance(outcome, Retry)
    assert outcome.after_s <= 10.0


def test_with_one_delivery_allowed_the_first_failure_is_the_end() -> None:
    assert isinstance(outcome_of(ValueError("odd"), 1, RetryPolicy(tries_max=1)), DeadLetter)


def test_an_entry_that_ended_its_consumers_says_how_often() -> None:
    outcome = given_up_unseen(5)

    assert outcome.reason == "delivered 5 times without an outcome"
    assert outcome.error == "its consumers died"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"tries_max": 0}, "tries_max must be at least 1, got 0"),
        ({"first_s": 0.0}, "first_s must be at least 0.001, got 0.0"),
        ({"first_s": 3.0, "most_s": 2.0}, "first_s must be at most most_s \\(2.0\\), got 3.0"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_by_name(
    settings: dict[str, float], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        RetryPolicy(**settings)  # type: ignore[arg-type]
