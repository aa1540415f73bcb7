"""Settings files as plain values, or one line that says why a file cannot be read."""

from pathlib import Path
from typing import Any

import yaml

from dig_core.settings.fields import suggestion
from dig_core.settings.validation import ConfigError


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key written twice: PyYAML would silently keep the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a block; ConfigError for a key that stands in it twice."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                line = node.start_mark.line + 1
                raise ConfigError(
                    f"expected every key once; got {key!r} twice in the block of line {line}. Remove one"
                )
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """The content of a settings file; ConfigError (one line) for one that is missing, unreadable or no YAML."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        hint = suggestion(path.stem, [other.stem for other in path.parent.glob("*.yaml")])
        raise ConfigError(
            f"{path}: expected a settings file; found none.{hint or ' Check the name'}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected a readable text file; got {type(error).__name__}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or "unreadable text"
        raise ConfigError(f"{path}: expected YAML; got {what}{line}. Check indentation and colons") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
