"""`docs/model-definition.md`: its examples are used, and it tells of every field."""

import re
import shlex
from pathlib import Path

from consumers.cli.model_definition.model_definition import check
from events import DeepCheck
from producers.model_definitions.checked_definition import check_model_definition
from producers.model_definitions.model_definition import ModelService
from producers.model_definitions.requested_health_check import FIELDS
from producers.model_definitions.runtime_variant import runtime_variants
from tests.consumers.support.commands import Commands

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "model-definition.md").read_text("utf-8")
DEFINITION, VARIANTS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
[SESSION] = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)


def test_the_example_is_a_definition_without_fault() -> None:
    read = check_model_definition(DEFINITION.encode(), "the page")
    assert (read.mistakes, read.warnings) == ((), ())
    health_check = read.usable.health_check
    assert health_check is not None
    assert (health_check.path, health_check.warm_up_time) == ("/health", 1_800)


def test_the_example_of_variants_is_one(tmp_path: Path) -> None:
    (tmp_path / "variants.yaml").write_text(VARIANTS)
    assert runtime_variants(tmp_path / "variants.yaml")["triton"].port == 8001


def test_every_field_is_told_of() -> None:
    named = set(re.findall(r"`([a-z_\[\].]+)`", PAGE))
    assert {*FIELDS, *DeepCheck.__struct_fields__} - named == set()
    service = {f"models[].service.{name}" for name in ModelService.__struct_fields__}
    assert service - named == {"models[].service.extra"}


async def test_the_command_prints_what_is_shown() -> None:
    command, _, printed = SESSION.partition("\n")
    words = shlex.split(command)[4:]
    result = await Commands("redis://127.0.0.1:1", "none")(check, str(ROOT / words[0]))
    assert result.exit_code == 0, result.output
    assert result.stdout.replace(f"{ROOT}/", "") == printed
