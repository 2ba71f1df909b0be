import pytest

from producers.endpoints.runtime_variant import RUNTIME_VARIANTS, runtime_variant


@pytest.mark.parametrize(
    ("name", "path", "port"),
    [
        ("vllm", "/health", 8000),
        ("nim", "/v1/health/ready", 8000),
        ("huggingface-tgi", "/info", 3000),
        ("sglang", "/health", 9001),
        ("modular-max", "/health", 8000),
        ("cmd", None, None),
        ("custom", None, None),
    ],
)
def test_each_variant_has_the_profile_that_backend_ai_gives_it(
    name: str, path: str | None, port: int | None
) -> None:
    variant = runtime_variant(name)
    assert (variant.name, variant.health_check_path, variant.port) == (name, path, port)
    assert name in RUNTIME_VARIANTS


def test_an_unknown_variant_has_neither_path_nor_port() -> None:
    variant = runtime_variant("triton")
    assert (variant.health_check_path, variant.port) == (None, None)
    assert "triton" not in RUNTIME_VARIANTS
