"""Parameters: checked against the JSON Schema (draft 2020-12) that the train brings along.

The schema is as hostile as the train. Regular expressions and references can make a validator
work for ever, so both are refused. Of what is left, each part of the schema meets
each part of the parameters at most once; that product is bounded too.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from typing import Any

from branchline.foundation.canonical import canonical_json
from branchline.train.errors import ParametersRefused

LIMIT = 1 << 14
WORK_LIMIT = 1_000_000

_DEEPEST = 16
_PLAIN = {
    *("type", "enum", "const", "default", "examples", "title", "description", "deprecated"),
    *("format", "$schema", "$comment", "minimum", "maximum", "exclusiveMinimum"),
    *("exclusiveMaximum", "multipleOf", "minLength", "maxLength", "minItems", "maxItems"),
    *("minProperties", "maxProperties", "required"),
}
_ONE = {"items", "additionalProperties", "propertyNames", "contains", "not", "if", "then", "else"}
_LIST = {"allOf", "anyOf", "oneOf", "prefixItems"}
_KEYWORDS = _PLAIN | _ONE | _LIST | {"properties"}
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def check_schema(schema: Mapping[str, Any]) -> None:
    """Refuse a schema that is not JSON Schema, uses other keywords, or refuses its own defaults."""
    from jsonschema import Draft202012Validator, SchemaError

    _check_json(schema, "The schema of the parameters")
    _check_keywords(schema, "", 0)
    if schema.get("$schema", _DIALECT) != _DIALECT:
        raise ParametersRefused(f"The schema's $schema is not {_DIALECT}")
    try:
        Draft202012Validator.check_schema(_as_object(schema))
    except SchemaError as error:
        place = ".".join(str(part) for part in error.absolute_path) or "schema"
        raise ParametersRefused(f"{place}: {error.message[:200]}") from error
    _check_defaults(schema)


def check_parameters(schema: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters with defaults filled in.

    A parameter the schema does not name is refused, unless the schema sets
    ``additionalProperties``.

    Raises:
        ParametersRefused: the sentence names the parameter.
    """
    _check_json(given, "The parameters")
    if _parts_of(schema) * _parts_of(given) > WORK_LIMIT:
        raise ParametersRefused(
            "The parameters, for the schema they are checked against, are too many to check",
            advice="Give fewer, or describe them in fewer words",
        )
    complete: dict[str, Any] = _with_defaults(schema, copy.deepcopy(dict(given)))
    problem = _problem(_as_object(schema), complete)
    if problem:
        raise ParametersRefused(problem)
    return complete


def _problem(schema: Mapping[str, Any], value: object) -> str | None:
    from jsonschema import Draft202012Validator
    from referencing import Registry

    # An empty registry: whatever a schema says, nothing is fetched.
    validator = Draft202012Validator(schema, registry=Registry())
    try:
        error = min(
            validator.iter_errors(value), key=lambda e: list(map(str, e.path)), default=None
        )
    except (OverflowError, RecursionError) as failure:
        raise ParametersRefused("The parameters are too deep or too large to check") from failure
    if error is None:
        return None
    place = ".".join(str(part) for part in error.path)
    message: str = error.message[:200]
    return f"Parameter {place!r}: {message}" if place else f"Parameters: {message}"


def _parts_of(value: object) -> int:
    inner: Iterable[object] = ()
    if isinstance(value, Mapping):
        inner = value.values()
    elif isinstance(value, (list, tuple)):
        inner = value
    return 1 + sum(_parts_of(part) for part in inner)


def _as_object(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, **schema}


def _with_defaults(schema: object, value: Any) -> Any:
    if not isinstance(schema, Mapping) or not isinstance(value, dict):
        return value
    properties = schema.get("properties", {})
    filled = dict(value)
    for name, rule in properties.items():
        if name in filled:
            filled[name] = _with_defaults(rule, filled[name])
        elif isinstance(rule, Mapping) and "default" in rule:
            filled[name] = copy.deepcopy(rule["default"])
    return filled


def _check_defaults(schema: Mapping[str, Any]) -> None:
    for name, rule in schema.get("properties", {}).items():
        if isinstance(rule, Mapping) and "default" in rule:
            problem = _problem(rule, _with_defaults(rule, rule["default"]))
            if problem:
                raise ParametersRefused(f"properties.{name}.default does not fit: {problem}")


def _check_keywords(schema: object, where: str, depth: int) -> None:
    if isinstance(schema, bool):
        return
    if not isinstance(schema, Mapping):
        raise ParametersRefused(f"{where or 'schema'}: expected a table")
    if depth > _DEEPEST:
        raise ParametersRefused(f"{where[:80]}: more than {_DEEPEST} levels deep")
    for keyword, value in schema.items():
        at = f"{where}.{keyword}" if where else keyword
        if keyword not in _KEYWORDS:
            raise ParametersRefused(
                f"{at}: not a keyword of a parameter's schema",
                advice="Patterns and references are not accepted; list values with enum, or check "
                "them in the train's code",
            )
        for name, part in _parts(keyword, value, at):
            _check_keywords(part, name, depth + 1)


def _parts(keyword: str, value: object, at: str) -> list[tuple[str, object]]:
    if keyword in _ONE:
        return [(at, value)]
    if keyword in _LIST and isinstance(value, list):
        return [(f"{at}.{number}", part) for number, part in enumerate(value)]
    if keyword == "properties" and isinstance(value, Mapping):
        return [(f"{at}.{name}", part) for name, part in value.items()]
    return []


def _check_json(value: Mapping[str, Any], what: str) -> None:
    try:
        json.dumps(value, allow_nan=False)  # dates (from TOML) and NaN are no JSON
        size = len(canonical_json(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise ParametersRefused(f"{what} cannot be written as JSON: {error}") from error
    if size > LIMIT:
        raise ParametersRefused(f"{what} has {size} bytes as JSON; at most {LIMIT} are accepted")
