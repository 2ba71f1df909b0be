"""The page about model servers: the health check that it shows is one, with what it says."""

import re
from pathlib import Path

import yaml

from events.catalogue.health_check import health_check_from
from producers.checker.deep import deep_checks
from producers.checker.settings import CheckerSettings
from projections.requests import request_report
from projections.requests.request_counts import KEPT_S

PAGE = (Path(__file__).parents[1] / "docs" / "model-servers.md").read_text("utf-8")


def test_the_health_check_of_the_page_is_read_as_it_stands() -> None:
    [shown] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    fields = yaml.safe_load(shown)
    check = health_check_from(fields)
    assert check.deep is not None
    for name, value in fields["deep"].items():
        assert getattr(check.deep, name) == value
    assert (check.warm_up_time, check.interval) == (1_800, 5)


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    settings = CheckerSettings()
    for shown in (
        f"`checker.warm_up_interval_s` ({settings.warm_up_interval_s:g} s)",
        f"`checker.reported_gap_s` ({settings.reported_gap_s:g} s)",
        f"At most {deep_checks.OF_ENDPOINT_MAX} of one endpoint",
        f"{deep_checks.UNDER_WAY_MAX:,} of all",
        f"at most {request_report._STORED_MAX:,} routes",
    ):
        assert shown in PAGE.replace("\n", " ")
    assert (request_report.FAILURES_EVERY_S, request_report.SUCCESSES_EVERY_S) == (0.5, 5.0)
    assert KEPT_S == 300
