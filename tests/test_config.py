import errno
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from platformdirs import user_config_path

from mcp_llama.config import load_settings
from mcp_llama.errors import ConfigError
from mcp_llama.settings.model import DoctorSettings
from mcp_llama.settings.server import ServeSettings
from mcp_llama.settings.text import ChatSettings, GenerateSettings
from tests.isolation import isolation


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with isolation(monkeypatch, tmp_path):
        yield


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "options.toml"


def serve(*arguments: str) -> ServeSettings:
    return load_settings(ServeSettings, "serve", arguments)


def generate(*arguments: str) -> GenerateSettings:
    return load_settings(GenerateSettings, "generate", arguments)


def test_a_flag_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_LLAMA_N_CTX", "64")
    assert serve("--n-ctx", "32").n_ctx == 32


def test_the_environment_beats_the_toml_file(monkeypatch: pytest.MonkeyPatch, toml: Path) -> None:
    toml.write_text("n_ctx = 128\nn_slots = 3")
    monkeypatch.setenv("MCP_LLAMA_N_CTX", "64")
    settings = serve("--config", str(toml))
    assert (settings.n_ctx, settings.n_slots) == (64, 3)


def test_the_environment_can_name_the_toml_file(monkeypatch: pytest.MonkeyPatch, toml: Path) -> None:
    toml.write_text("n_ctx = 128")
    monkeypatch.setenv("MCP_LLAMA_CONFIG", str(toml))
    assert serve().n_ctx == 128


def test_the_flag_config_beats_the_environment_variable(
    monkeypatch: pytest.MonkeyPatch, toml: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.toml"
    other.write_text("n_ctx = 16")
    toml.write_text("n_ctx = 128")
    monkeypatch.setenv("MCP_LLAMA_CONFIG", str(other))
    assert serve(f"--config={toml}").n_ctx == 128


def test_the_users_own_toml_file_is_read_without_being_named() -> None:
    own = user_config_path("mcp-llama") / "config.toml"
    own.parent.mkdir(parents=True)
    own.write_text("port = 9000")
    assert serve().port == 9000


def test_a_named_toml_file_replaces_the_users_own(toml: Path) -> None:
    own = user_config_path("mcp-llama") / "config.toml"
    own.parent.mkdir(parents=True)
    own.write_text("port = 9000")
    toml.write_text("n_ctx = 128")
    assert serve("--config", str(toml)).port == 8080


def test_a_tilde_in_the_name_of_the_toml_file_is_the_home(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("port = 9000")
    assert serve("--config", "~/mine.toml").port == 9000


def test_a_toml_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"No TOML file at .*nowhere\.toml\."):
        serve("--config", str(tmp_path / "nowhere.toml"))


def test_without_any_source_the_defaults_hold() -> None:
    settings = serve()
    assert (settings.model, settings.n_ctx, settings.port, settings.max_tokens) == (None, None, 8080, 512)


def test_options_of_other_commands_in_the_toml_file_are_left_to_them(toml: Path) -> None:
    toml.write_text('port = 9000\nmax_time_s = 3\nsystem = "Be brief."\nn_slots = 2')
    doctor = load_settings(DoctorSettings, "doctor", ["--config", str(toml)])
    assert not hasattr(doctor, "port")
    assert load_settings(ChatSettings, "chat", ["--config", str(toml)]).system == "Be brief."
    assert serve("--config", str(toml)).port == 9000


def test_variables_of_other_commands_are_left_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_LLAMA_PORT", "9000")
    assert generate("hi").prompt == "hi"
    assert serve().port == 9000


@pytest.mark.parametrize(
    ("line", "name", "nearest"),
    [("nctx = 64", "nctx", "n_ctx"), ("n-ctx = 64", "n-ctx", "n_ctx"), ("max_token = 64", "max_token", "max_tokens")],
)
def test_an_unknown_toml_option_is_refused_with_the_nearest(toml: Path, line: str, name: str, nearest: str) -> None:
    toml.write_text(line)
    with pytest.raises(ConfigError) as caught:
        serve("--config", str(toml))
    assert str(caught.value) == f"Unknown option in the TOML file {name!r}. Did you mean {nearest!r}?"


@pytest.mark.parametrize("line", ['prompt = "hi"', 'message = "hi"', 'config = "other.toml"'])
def test_what_belongs_to_one_call_is_no_toml_option(toml: Path, line: str) -> None:
    toml.write_text(line)
    with pytest.raises(ConfigError, match="Unknown option in the TOML file"):
        generate("hi", "--config", str(toml))


def test_a_toml_file_that_is_not_toml_is_refused_with_its_place(toml: Path) -> None:
    toml.write_text("n_ctx =\n")
    with pytest.raises(ConfigError, match=r"options\.toml.*line 1"):
        serve("--config", str(toml))


def test_sampling_options_in_the_toml_file_are_plain_numbers(toml: Path) -> None:
    toml.write_text("[sampling]\ntop_k = 20\nmin_p = 0.1\nignore_eos = true")
    assert set(generate("hi", "--config", str(toml)).sampling) == {"top_k", "min_p", "ignore_eos"}


def test_an_unknown_variable_is_refused_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_LLAMA_NCTX", "64")
    with pytest.raises(ConfigError) as caught:
        serve()
    assert str(caught.value) == "Unknown environment variable 'MCP_LLAMA_NCTX'. Did you mean 'MCP_LLAMA_N_CTX'?"


def test_a_prompt_is_not_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_LLAMA_PROMPT", "hi")
    with pytest.raises(ConfigError, match="Unknown environment variable 'MCP_LLAMA_PROMPT'"):
        generate()


def test_a_bad_value_in_the_environment_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_LLAMA_N_CTX", "many")
    with pytest.raises(ConfigError, match=r"^n_ctx is 'many': input should be a valid integer"):
        serve()


def test_a_bad_value_in_the_toml_file_is_refused_by_name(toml: Path) -> None:
    toml.write_text("port = 70000")
    with pytest.raises(ConfigError, match=r"^port is 70000: input should be less than or equal to 65535\.$"):
        serve("--config", str(toml))


def test_all_bad_values_are_named_at_once() -> None:
    with pytest.raises(ConfigError, match=r"n_ctx is '1'.* port is 'x'"):
        serve("--n-ctx", "1", "--port", "x")


BLANKS = ["", "${user_config.n_ctx}"]
"""What a host sets for a field of its form that was left blank."""


@pytest.mark.parametrize("blank", BLANKS)
def test_a_blank_variable_leaves_every_option_its_default(monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    expected = serve().model_dump()
    for name in ServeSettings.model_fields:
        monkeypatch.setenv(f"MCP_LLAMA_{name.upper()}", blank)
    assert serve().model_dump() == expected


@pytest.mark.parametrize("blank", BLANKS)
def test_a_blank_variable_leaves_an_option_to_the_toml_file(
    monkeypatch: pytest.MonkeyPatch, toml: Path, blank: str
) -> None:
    toml.write_text("n_ctx = 128")
    monkeypatch.setenv("MCP_LLAMA_N_CTX", blank)
    assert serve("--config", str(toml)).n_ctx == 128


@pytest.mark.parametrize("value", ["${HOME}", "/models/${user_config.model}", "${user_config.model}.gguf", " "])
def test_a_variable_that_is_not_wholly_blank_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MCP_LLAMA_MODEL", value)
    assert serve().model == value


def test_a_list_in_the_environment_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = ["llama.example:*", "10.0.0.1:8080"]
    monkeypatch.setenv("MCP_LLAMA_ALLOWED_HOSTS", json.dumps(hosts))
    assert serve().allowed_hosts == hosts


def test_a_list_in_the_environment_that_is_not_json_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_LLAMA_STOP", "END")
    with pytest.raises(ConfigError, match=r"(?i)stop"):
        generate("hi")


@pytest.mark.parametrize("flag", ["--max-time-s", "--stall-timeout", "--heartbeat-s"])
@pytest.mark.parametrize("value", ["inf", "1e12", "nan", "0", "-1"])
def test_a_time_is_a_positive_number_that_a_clock_can_count(flag: str, value: str) -> None:
    with pytest.raises(ConfigError, match=flag[2:].replace("-", "_")):
        serve(flag, value)


@pytest.mark.parametrize("text", ["\n", " ", "a, b", '"', "[", "{", "[x]", '"quoted"', "null", "None", "###", "\\n"])
def test_a_stop_string_is_taken_as_it_is(text: str) -> None:
    assert generate("hi", "--stop", text).stop == [text]


def test_several_stop_strings_are_kept_in_order() -> None:
    assert generate("hi", "--stop", "b", "--stop=a").stop == ["b", "a"]


@pytest.mark.parametrize("text", ["null", "None", "[1, 2]", '{"a": 1}', " x ", "-5", "a=b", "true", "line\nline", ""])
def test_a_prompt_is_taken_as_it_is(text: str) -> None:
    assert generate(text).prompt == text
    chat = load_settings(ChatSettings, "chat", [text, "--system", text])
    assert (chat.message, chat.system) == (text, text)


def test_sampling_options_are_pairs_of_name_and_value() -> None:
    settings = generate("hi", "--sampling", "top_k=20", "--sampling", "min_p=0.1")
    assert settings.sampling == {"top_k": "20", "min_p": "0.1"}


def test_a_sampling_option_without_value_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="sampling"):
        generate("hi", "--sampling", "top_k")


@pytest.mark.parametrize(("name", "value"), [("WARM", "sys.txt"), ("LORA", "[")])
def test_a_variable_with_a_list_that_is_no_json_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"MCP_LLAMA_{name}", value)
    with pytest.raises(ConfigError) as caught:
        serve()
    assert str(caught.value) == (
        f"MCP_LLAMA_{name} is {value!r}, which is not JSON. Lists and tables in the environment are, "
        """such as '["a", "b"]'."""
    )


def test_a_toml_file_that_is_no_text_is_refused(toml: Path) -> None:
    toml.write_bytes(b'model = "\xff"')
    with pytest.raises(ConfigError) as caught:
        serve("--config", str(toml))
    assert str(caught.value) == f"{toml} is not UTF-8 text. Save it as UTF-8."


def test_a_toml_file_that_cannot_be_read_is_refused(monkeypatch: pytest.MonkeyPatch, toml: Path) -> None:
    toml.touch()
    # A superuser may read whatever the mode says.
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigError) as caught:
        serve("--config", str(toml))
    assert str(caught.value) == f"{toml} cannot be read: Permission denied."


def refuse(*_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")
