"""Reads a kernel's description field by field; every problem is collected under the field's name."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

MAX_TEXT = 200
_KINDS = {str: "a text", int: "a whole number", bool: "true or false", list: "a list", dict: "a table"}


class SpecError(ValueError):
    """A description that cannot be used; each line of the message names a field and says what is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Table:
    """One table of the description. A getter notes a problem and gives a harmless value instead."""

    def __init__(self, raw: object, where: str, problems: list[str], keys: tuple[str, ...]) -> None:
        self.problems = problems
        self.where = where
        self.raw: Mapping[str, Any] = raw if isinstance(raw, dict) else {}
        if not isinstance(raw, dict):
            problems.append(f"{where or 'the description'}: must be a table")
        for key in sorted(set(self.raw) - set(keys)):
            self.wrong(key, f"there is no such field; there are {', '.join(keys)}")

    def wrong(self, key: str, reason: str) -> None:
        self.problems.append(f"{self.where}{key}: {reason}")

    def get(self, key: str, kind: type, default: Any = None) -> Any:
        """The value if it is of that kind; a field without default must be there."""
        if key not in self.raw:
            if default is None:
                self.wrong(key, "is missing")
            return kind() if default is None else default
        value = self.raw[key]
        if type(value) is not kind:
            self.wrong(key, f"must be {_KINDS[kind]}, not {value!r:.60}")
            return kind() if default is None else default
        return value

    def text(self, key: str, pattern: str = r"[^\x00-\x1f]+", rule: str = "a short text", **kw: Any) -> str:
        value: str = self.get(key, str, **kw)
        if (value or key in self.raw) and not (len(value) <= MAX_TEXT and re.fullmatch(pattern, value)):
            self.wrong(key, f"must be {rule}, not {value!r:.60}")
        return value

    def texts(self, key: str, pattern: str, rule: str, **kw: Any) -> list[str]:
        values = self.get(key, list, **kw)
        for value in values:
            if not (isinstance(value, str) and re.fullmatch(pattern, value)):
                self.wrong(key, f"must hold {rule}, not {value!r:.60}")
        texts = [value for value in values if isinstance(value, str)]
        if len(set(texts)) != len(texts):
            self.wrong(key, "names something twice")
        return texts

    def positive(self, key: str) -> float:
        """A finite number, 0 or more; 0 if it is absent."""
        value = self.raw.get(key, 0)
        if type(value) not in (int, float) or not 0 <= value <= sys.float_info.max:
            self.wrong(key, f"must be a number, 0 or more, not {value!r:.60}")
            return 0.0
        return float(value)
