"""From plain values to settings, or one line that says what is wrong and what to do."""

import re
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from dig_core.settings.fields import Settings, suggestion

SettingsT = TypeVar("SettingsT", bound=Settings)


# Of sections whose kind does not follow from a key alone: no part of the path that a user knows.
TAGS = ("landscapes", "known_states")


class ConfigError(ValueError):
    """A mistake in a settings file; its text is one line."""


def validated(model: type[SettingsT], values: Any, where: str) -> SettingsT:
    """Turn plain values into a settings model; `where` names their origin in the one-line ConfigError.

    Lists may stand for tuples (YAML and JSON know only lists); nothing else is converted.
    """
    if not isinstance(values, dict):
        raise ConfigError(
            f"{where}: expected a mapping of keys to values; got {_shown(values)}. See config/systems"
        )
    try:
        return model.model_validate(_tuples(values))
    except ValidationError as error:
        problems = error.errors(include_url=False)
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ConfigError(f"{where}: {_one_line(problems[0], values)}{more}") from None


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, (list, tuple)) else value


def _one_line(problem: ErrorDetails, values: Any) -> str:
    """Put one of pydantic's errors into the form 'path: expected ...; got .... What to do'."""
    found, kind = problem["input"], problem["type"]
    context = problem.get("ctx", {})
    path = _key_path(problem["loc"], values)
    message = problem["msg"].removeprefix("Value error, ")
    if kind == "value_error":
        return f"{path}: {message}" if path else message
    if kind == "missing":
        return f"{path}: expected this key; got nothing. Add it"
    if kind.startswith("union_tag"):
        tag, known = context.get("tag"), context.get("expected_tags", "'simulate', 'trajectory'")
        path += "." + context["discriminator"].strip("'")
        got = repr(tag) if tag else "nothing"
        return f"{path}: expected one of {known}; got {got}.{suggestion(tag, re.findall(r'[a-z_]+', known))}"
    expected = re.sub(r"^(Input|Value|Keys?|Tuple|Dictionary) should (be|have) ", "", message)
    expected = re.sub(r"a valid dictionary.*", "a mapping of keys to values", expected)
    expected = expected.replace("a valid tuple", "a list").replace(" after validation", "")
    return f"{path}: expected {expected}; got {_shown(found)}.{_advice(found, context)}"


def _advice(found: Any, context: dict[str, Any]) -> str:
    number = re.fullmatch(r"([+-]?\d+)(\.?)([eE][+-]?\d+)", found) if isinstance(found, str) else None
    if number:
        return f" Write {number[1]}.0{number[3]}: YAML reads {found} as text"
    if isinstance(found, str) and "expected" in context:
        return suggestion(found, re.findall(r"'([^']+)'", str(context["expected"]))) or " Write one of them"
    if isinstance(found, str) and re.fullmatch(r"[+-]?[\d.]+([eE][+-]?\d+)?", found):
        return " Remove the quotes"
    return " Change it; config/schema.json describes every key"


def _key_path(location: tuple[int | str, ...], values: Any) -> str:
    """Join the keys that lead to a value, without the tags that pydantic adds for the kind of a section."""
    keys: list[str] = []
    for part in location:
        is_tag = (
            isinstance(values, dict)
            and part not in values
            and part in (values.get("kind"), values.get("source"), values.get("energy"), *TAGS)
        )
        if is_tag or part == "[key]":
            continue
        keys.append(str(part))
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            values = None
    return ".".join(keys)


def _shown(value: Any) -> str:
    # Tuples stand for the lists that the user wrote.
    text = " ".join(repr(list(value) if isinstance(value, tuple) else value).split())
    return text if len(text) <= 60 else text[:57] + "..."
