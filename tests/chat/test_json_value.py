import pytest

from mcp_llama.chat.json_value import json_value


@pytest.mark.parametrize("text", ["{}", '{"a": [1, 2.5, null, true, "\\u00e9"]}', "-1e300", '"x"'])
def test_json_has_a_value(text: str) -> None:
    assert json_value(text) is not None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1', "delimiter"),
        ('{"a": 1e999}', "the number 1e999 is out of range"),
        ("[-1e400]", "out of range"),
        ("9" * 5000, "digits"),
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ("[NaN]", "no JSON"),
    ],
)
def test_what_json_or_python_cannot_carry_on_has_none(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        json_value(text)
