from pathlib import Path

import pytest

from events.catalogue.health_check import HealthCheck
from producers.checker.probe_result import ProbeResult
from producers.checker.verdict import CheckState, judge
from producers.errors import InvalidRuntimeVariantsError
from producers.model_definitions.model_definition import resolve_health_check
from producers.model_definitions.runtime_variant import runtime_variants, unknown_variant


@pytest.mark.parametrize(
    ("name", "port", "check"),
    [
        ("vllm", 8000, HealthCheck(path="/health", warm_up_time=1800)),
        ("nim", 8000, HealthCheck(path="/v1/health/ready", warm_up_time=1800)),
        ("huggingface-tgi", 3000, HealthCheck(path="/info", warm_up_time=1800)),
        ("sglang", 9001, HealthCheck(path="/health", warm_up_time=1800)),
        ("modular-max", 8000, HealthCheck(path="/health", warm_up_time=1800)),
        ("llama-cpp", 8080, HealthCheck(path="/health", max_retries=30, initial_delay=60)),
        ("cmd", 8000, None),
        ("custom", 8080, None),
    ],
)
def test_each_variant_has_the_profile_that_backend_ai_gives_it(
    name: str, port: int, check: HealthCheck | None
) -> None:
    variant = runtime_variants()[name]
    assert (variant.name, variant.port, variant.health_check) == (name, port, check)
    assert resolve_health_check(name, None) == check


def test_a_server_may_load_for_half_an_hour_but_once_healthy_its_death_is_noticed_at_once() -> None:
    check = resolve_health_check("vllm", None)
    assert check is not None
    failed, succeeded = ProbeResult(success=False, reason="refused"), ProbeResult(success=True)
    state, told = CheckState(), None
    for at_s in range(10, 1_200, 10):
        state, told = judge(state, failed, at_s, 0, check)
        assert told is None
    state, told = judge(state, succeeded, 1_200, 0, check)
    assert told is not None
    assert told.new_status == "healthy"
    for at_s in range(1_210, 1_300, 10):
        state, told = judge(state, failed, at_s, 0, check)
        assert told is None
    state, told = judge(state, failed, 1_300, 0, check)
    assert told is not None
    assert told.new_status == "unhealthy"


def test_an_unknown_variant_has_no_health_check_and_the_known_ones_are_named() -> None:
    variants = runtime_variants()
    assert resolve_health_check("triton", None, variants) is None
    assert unknown_variant("vllm", variants) is None
    assert unknown_variant("triton", variants) == (
        "runtime variant 'triton' is not known, so its routes are not checked; known are vllm, nim,"
        " huggingface-tgi, sglang, modular-max, llama-cpp, cmd, custom"
    )


def test_an_operator_adds_variants_and_replaces_those_that_are_shipped(tmp_path: Path) -> None:
    file = tmp_path / "variants.yaml"
    file.write_text(
        "triton: {port: 8001, health-check: {path: /v2/health/ready, max-retries: 3}}\n"
        "vllm: {health_check: {enable: true, interval: null}}\n"
        "nim:\n"
    )
    variants = runtime_variants(file)
    triton = HealthCheck(path="/v2/health/ready", max_retries=3)
    assert resolve_health_check("triton", None, variants) == triton
    assert variants["triton"].port == 8001
    assert resolve_health_check("vllm", None, variants) == HealthCheck(path="/health")
    assert variants["vllm"].port is None
    assert resolve_health_check("nim", None, variants) is None
    assert resolve_health_check("sglang", None, variants) is not None
    assert "triton" not in runtime_variants()


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        ("[vllm]", ["expected variants by name"]),
        (
            "a: {port: 0}\nb: 5",
            ["a.port: 0 is not allowed", "(line 1, column 5)", "b: 5 is not allowed"],
        ),
        ("a:\n  prot: 80", ["a.prot: it is not known (line 2, column 3)"]),
        (
            "a: {health_check: {interval: 0, max_retries: x}}",
            ["a.health_check.interval: 0 is not allowed", "a.health_check.max_retries: 'x' is not"],
        ),
        ("a: {health_check: {retry_in: 5}}", ["a.health_check.retry_in: it is not known"]),
        ("a: [", ["line 1, column 5"]),
    ],
)
def test_an_operators_file_is_refused_with_all_its_mistakes(
    tmp_path: Path, content: str, problems: list[str]
) -> None:
    file = tmp_path / "variants.yaml"
    file.write_text(content)
    with pytest.raises(InvalidRuntimeVariantsError) as raised:
        runtime_variants(file)
    assert str(raised.value).startswith(f"{file}: ")
    assert [problem for problem in problems if problem not in str(raised.value)] == []


def test_an_operators_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRuntimeVariantsError, match="No such file"):
        runtime_variants(tmp_path / "none.yaml")
