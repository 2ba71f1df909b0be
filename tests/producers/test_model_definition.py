import os
from pathlib import Path
from textwrap import dedent

import pytest

from events.catalogue.health_check import HealthCheck
from events.plain_yaml import BYTES_MAX, parse_yaml
from producers.errors import (
    InvalidModelDefinitionError,
    InvalidModelFolderError,
    ModelFolderError,
    ModelFolderNotFoundError,
)
from producers.model_definitions.checked_definition import CheckedDefinition, check_model_definition
from producers.model_definitions.model_definition import ModelDefinition, resolve_health_check
from producers.model_definitions.model_folder import find_model_definition, read_model_definition

FULL = """
models:
  - name: llama
    model_path: /models/llama
    service:
      pre_start_actions:
        - action: run_command
          args: {command: [echo, hello], extra-arg: 1}
      start_command: [python, -m, server]
      shell: /bin/sh
      port: 8000
      health_check:
        path: /ready
        interval: 5
        max_retries: 4
        max_wait_time: 2.5
        expected_status_code: 204
        initial_delay: 30
    metadata:
      author: somebody
      version: 1.0
      created: 2024-03-01
      framework: [pytorch]
      an-extra: {of: any kind}
"""


def checked(text: str) -> CheckedDefinition:
    return check_model_definition(dedent(text).encode(), "model-definition.yaml")


def definition_of(text: str) -> ModelDefinition:
    return checked(text).usable


def content_of(text: str) -> object:
    return parse_yaml(dedent(text).encode()).content


class TestFind:
    @pytest.mark.parametrize("name", ["model-definition.yaml", "model-definition.yml"])
    def test_either_name_is_found(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).touch()
        assert find_model_definition(tmp_path) == tmp_path / name

    def test_yaml_comes_before_yml(self, tmp_path: Path) -> None:
        for name in ("model-definition.yml", "model-definition.yaml"):
            (tmp_path / name).touch()
        assert find_model_definition(tmp_path).name == "model-definition.yaml"

    def test_a_path_may_name_a_file_or_a_folder_within(self, tmp_path: Path) -> None:
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "model-definition.yml").touch()
        (tmp_path / "sub" / "other.yaml").touch()
        assert find_model_definition(tmp_path, "sub").name == "model-definition.yml"
        assert find_model_definition(tmp_path, "sub/other.yaml").name == "other.yaml"

    @pytest.mark.parametrize("path", ["../elsewhere.yaml", "/etc/hostname", "sub/../../x"])
    def test_a_path_that_leads_out_is_refused(self, tmp_path: Path, path: str) -> None:
        with pytest.raises(InvalidModelFolderError, match=r"^path: '.*' leads out of"):
            find_model_definition(tmp_path, path)

    def test_a_link_that_leads_out_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "secret.yaml").touch()
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "model-definition.yaml").symlink_to(tmp_path / "secret.yaml")
        with pytest.raises(ModelFolderNotFoundError):
            find_model_definition(tmp_path / "model")

    def test_what_is_missing_is_said_with_its_place(self, tmp_path: Path) -> None:
        with pytest.raises(ModelFolderNotFoundError, match="there is no model-definition"):
            find_model_definition(tmp_path)
        with pytest.raises(ModelFolderNotFoundError, match="there is no file here"):
            find_model_definition(tmp_path, "gone.yaml")


class TestRead:
    def test_dates_stay_the_text_that_was_written(self) -> None:
        assert content_of("{a: 2024-03-01, b: 1, c: 2.5, d: true, e: null, f: [x]}") == {
            "a": "2024-03-01",
            "b": 1,
            "c": 2.5,
            "d": True,
            "e": None,
            "f": ["x"],
        }

    def test_aliases_and_merges_work_within_the_bounds(self) -> None:
        text = "{base: &base {port: 1, shell: sh}, one: {<<: *base, port: 2}}"
        assert content_of(text) == {
            "base": {"port": 1, "shell": "sh"},
            "one": {"port": 2, "shell": "sh"},
        }

    def test_aliases_cannot_explode(self) -> None:
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
        for level in range(1, 9):
            before = ", ".join([f"*a{level - 1}"] * 9)
            lines.append(f"a{level}: &a{level} [{before}]")
        with pytest.raises(InvalidModelDefinitionError, match="more than 10000 keys and values"):
            definition_of("\n".join(lines))

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("a: &a [*a]", r"the alias \*a stands within what it names.* \(line 1, column 8\)"),
            ("a: *nowhere", r"found undefined alias 'nowhere'.* \(line 1, column 4\)"),
            ("[" * 40, "nested deeper than 32 levels, which is the limit"),
            (
                "a: !!python/object/apply:os.getcwd []",
                r"could not determine.* \(line 1, column 4\)",
            ),
            ("a: !!set {x, y}", r"could not determine a constructor.* \(line 1, column 4\)"),
            ("a: !!timestamp 2024-03-01", "could not determine a constructor"),
            ("a: 1\nb: 2\na: 3", r"the key 'a' is given twice.* \(line 3, column 1\)"),
            ("a: [1", r"expected ',' or ']'.* \(line 1, column 6\)"),
            ("a: 1\n---\nb: 2", r"but found another document.* \(line 2, column 1\)"),
            ("{[a]: 1}", r"found unhashable key.* \(line 1, column 2\)"),
            (f"a: {'9' * 5_000}", "it is no int of at most 100 characters"),
        ],
    )
    def test_what_cannot_be_read_is_refused_with_its_place(self, text: str, problem: str) -> None:
        with pytest.raises(InvalidModelDefinitionError, match=problem) as raised:
            definition_of(text)
        assert "model-definition.yaml: " in str(raised.value)
        assert "\n" not in str(raised.value)

    async def test_a_file_of_a_megabyte_is_the_largest(self, tmp_path: Path) -> None:
        file = tmp_path / "large.yaml"
        text = "models: []"
        file.write_text(text + " " * (BYTES_MAX - len(text)))
        assert (await read_model_definition(file)).usable.models == []
        file.write_text(text + " " * (BYTES_MAX - len(text) + 1))
        with pytest.raises(InvalidModelDefinitionError, match="more than 1048576 bytes"):
            _ = (await read_model_definition(file)).usable

    def test_what_is_no_text_is_refused(self) -> None:
        with pytest.raises(InvalidModelDefinitionError, match=r"binary\.yaml: "):
            _ = check_model_definition(b"\x00\xff\xfe\x01", "binary.yaml").usable

    async def test_what_is_no_file_is_refused(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        for name in ("pipe", "missing.yaml", ""):
            with pytest.raises(ModelFolderNotFoundError, match="there is no "):
                await read_model_definition(tmp_path / name)

    async def test_a_file_that_may_not_be_read_is_said_in_one_line(self, tmp_path: Path) -> None:
        name = "n" * 300
        with pytest.raises(ModelFolderError, match="file name too long"):
            await read_model_definition(tmp_path / name)

    async def test_a_folder_a_file_and_bytes_are_read_alike(self, tmp_path: Path) -> None:
        (tmp_path / "model-definition.yml").write_text(FULL)
        (tmp_path / "other.yaml").write_text(FULL)
        sources = (tmp_path, str(tmp_path), tmp_path / "other.yaml", FULL.encode())
        read = [(await read_model_definition(source)).usable for source in sources]
        assert read == [definition_of(FULL)] * 4


class TestValidate:
    def test_a_whole_definition_is_read(self) -> None:
        [model] = definition_of(FULL).models
        assert (model.name, model.model_path) == ("llama", "/models/llama")
        assert model.service is not None
        assert model.service.pre_start_actions[0].args == {
            "command": ["echo", "hello"],
            "extra-arg": 1,
        }
        assert model.service.health_check == HealthCheck(
            path="/ready",
            interval=5.0,
            max_retries=4,
            max_wait_time=2.5,
            expected_status_code=204,
            initial_delay=30.0,
        )
        assert model.metadata is not None
        assert model.metadata.created == "2024-03-01"

    def test_keys_may_have_hyphens(self) -> None:
        with_hyphens = FULL
        for key in ("model_path", "start_command", "pre_start_actions", "health_check"):
            with_hyphens = with_hyphens.replace(key, key.replace("_", "-"))
        for key in ("max_retries", "max_wait_time", "expected_status_code", "initial_delay"):
            with_hyphens = with_hyphens.replace(key, key.replace("_", "-"))
        assert definition_of(with_hyphens) == definition_of(FULL)

    def test_null_means_the_default(self) -> None:
        [model] = definition_of(
            """
            models:
              - name: m
                model_path: /m
                metadata: null
                service:
                  port: 80
                  start_command: null
                  shell: null
                  pre_start_actions: null
                  health_check:
                    {path: /h, interval: null, max_retries: null, max_wait_time: null,
                     expected_status_code: null, initial_delay: null}
            """
        ).models
        assert model.metadata is None
        assert model.service is not None
        assert model.service.shell == "/bin/bash"
        assert model.service.pre_start_actions == []
        assert model.service.health_check == HealthCheck(path="/h")

    @pytest.mark.parametrize("block", ["null", "{}", "{enable: false, path: /h}"])
    def test_a_health_check_that_is_empty_or_disabled_is_none(self, block: str) -> None:
        definition = definition_of(with_health_check(block))
        assert resolve_health_check("custom", definition) is None

    def test_a_health_check_that_is_enabled_is_one(self) -> None:
        definition = definition_of(with_health_check("{enable: true, path: /h}"))
        assert resolve_health_check("custom", definition) == HealthCheck(path="/h")

    @pytest.mark.parametrize(
        ("block", "problem"),
        [
            (
                "{path: a b}",
                r"path: 'a b' is not allowed: it must begin with a slash and have no",
            ),
            ("{path: /h, interval: 0}", r"interval: 0 is not allowed: Expected `float` >= 0\.1"),
            ("{path: /h, interval: 0.09}", r"interval: 0\.09 is not allowed: .* >= 0\.1"),
            (
                "{path: /h, max_wait_time: 0.009}",
                r"max_wait_time: 0\.009 is not allowed: .* >= 0\.01",
            ),
            ("{path: /h, interval: .nan}", r"interval: nan is not allowed"),
            ("{path: /h, interval: soon}", r"interval: 'soon' is not allowed"),
            ("{path: /h, max-retries: 0}", r"max_retries: 0 is not allowed: .* >= 1"),
            ("{path: /h, max_retries: 1.5}", r"max_retries: 1\.5 is not allowed"),
            ("{path: /h, max_wait_time: -1}", r"max_wait_time: -1 is not allowed"),
            ("{path: /h, expected_status_code: 99}", r"99 is not allowed: .* >= 100"),
            ("{path: /h, initial_delay: 86401}", r"86401 is not allowed: .* <= 86400"),
            ("{path: /h, enable: maybe}", r"health_check\.enable: 'maybe' is not allowed"),
            ("{max-retries: 3, max_retries: 4}", r"max_retries: it is given twice"),
            ("[/h]", r"health_check: Expected `HealthCheck`|health_check: "),
        ],
    )
    def test_a_wrong_health_check_is_refused_with_file_field_value_and_limit(
        self, block: str, problem: str
    ) -> None:
        beginning = r"^model-definition\.yaml: models\[0\]\.service\."
        with pytest.raises(InvalidModelDefinitionError, match=beginning) as raised:
            definition_of(with_health_check(block))
        assert raised.match(problem)

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("", "Expected `object`, got `null`"),
            ("[]", "Expected `object`, got `array`"),
            ("{}", "missing required field `models`"),
            ("models: {}", "models: Expected `array`"),
            ("models: [{model_path: /m}]", r"models\[0\]: .* field `name` \(line 1, column 10\)$"),
            ("models: [{name: m, model_path: 5}]", r"models\[0\]\.model_path: 5 is not allowed"),
            ("models: [{name: m, model_path: /m, service: {port: 0}}]", "port: 0 is not allowed"),
            ("models: [{name: m, model_path: /m, service: {}}]", "required field `port`"),
        ],
    )
    def test_a_wrong_definition_is_refused_with_file_and_field(
        self, text: str, problem: str
    ) -> None:
        with pytest.raises(InvalidModelDefinitionError, match=problem) as raised:
            definition_of(text)
        assert str(raised.value).startswith("model-definition.yaml: ")


def with_health_check(block: str) -> str:
    return "models: [{name: m, model_path: /m, service: {port: 80, health-check: " + block + "}}]"


class TestResolve:
    @pytest.mark.parametrize(
        ("variant", "path"),
        [
            ("vllm", "/health"),
            ("nim", "/v1/health/ready"),
            ("huggingface-tgi", "/info"),
            ("sglang", "/health"),
            ("modular-max", "/health"),
        ],
    )
    def test_the_profile_of_the_variant_decides(self, variant: str, path: str) -> None:
        check = HealthCheck(path=path, warm_up_time=1_800)
        assert resolve_health_check(variant, definition_of(FULL)) == check
        assert resolve_health_check(variant, None) == check

    @pytest.mark.parametrize("variant", ["cmd", "triton"])
    def test_a_variant_without_a_profile_has_none(self, variant: str) -> None:
        assert resolve_health_check(variant, definition_of(FULL)) is None

    def test_custom_without_a_definition_has_none(self) -> None:
        assert resolve_health_check("custom", None) is None
        assert resolve_health_check("custom", definition_of("models: []")) is None

    def test_for_custom_the_first_model_with_a_health_check_decides(self) -> None:
        definition = definition_of(
            """
            models:
              - {name: a, model_path: /a, service: null}
              - {name: b, model_path: /b}
              - {name: c, model_path: /c, service: {port: 80, health_check: null}}
              - {name: d, model_path: /d, service: {port: 80, health_check: {path: /first}}}
              - {name: e, model_path: /e, service: {port: 80, health_check: {path: /second}}}
            """
        )
        assert resolve_health_check("custom", definition) == HealthCheck(path="/first")
