"""The description of the API (OpenAPI 3.1), derived from its types: what is described is what is answered."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from lstm_stream.outputs.web import documents, queries
from lstm_stream.outputs.web.api import RESOURCES, ROOT, Resource
from lstm_stream.outputs.web.stream import EVERY, PATH

_REF = "#/components/schemas/{model}"
_JSON = "application/json"


def describe(version: str) -> dict[str, Any]:
    """The whole document; `version` is that of lstm_stream."""
    types = [resource.answer for resource in RESOURCES]
    types += [documents.Refusal, documents.CommandReply, documents.CommandRecord, queries.Order]
    adapters: list[Any] = [(one.__name__, "serialization", TypeAdapter(one)) for one in dict.fromkeys(types)]
    schemas, definitions = TypeAdapter.json_schemas(adapters, ref_template=_REF)
    named = {name: schema for (name, _), schema in schemas.items() if schema != {"$ref": _REF.format(model=name)}}
    paths: dict[str, Any] = {ROOT + resource.path: {"get": _get(resource)} for resource in RESOURCES}
    paths[f"{ROOT}/commands"]["post"] = _post()
    paths[PATH] = {"get": _stream()}
    paths[f"{ROOT}/openapi.json"] = {
        "get": {"summary": "This description", "responses": {"200": _content("The description", {"type": "object"})}}
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "lstm_stream",
            "version": version,
            "description": "What a daemon knows of its sensors, and what it can be told. Times are unix seconds.",
        },
        "paths": paths,
        "components": {"schemas": {**definitions["$defs"], **named}},
    }


def _get(resource: Resource) -> dict[str, Any]:
    responses = {"200": _content(resource.summary, _ref(resource.answer)), **_refusals(400, 403, 500, 503)}
    parameters = _parameters(resource.query)
    if resource.query.model_fields and "group" in resource.query.model_fields and resource.path != "/sensors":
        responses |= _refusals(404)
    return {"summary": resource.summary, "parameters": parameters, "responses": responses}


def _post() -> dict[str, Any]:
    return {
        "summary": "Give a command",
        "requestBody": {"required": True, "content": {_JSON: {"schema": _ref(queries.Order)}}},
        "responses": {
            "200": _content("What became of it", _ref(documents.CommandReply)),
            **_refusals(400, 403, 413, 415, 500, 503),
        },
    }


def _stream() -> dict[str, Any]:
    text = (
        f"Server-sent events: `overview` every {EVERY:g} s (Overview), `alarm` when one opens or closes (an alarm of "
        "AlarmList), `command` (CommandRecord)."
    )
    responses = {"200": {"description": text, "content": {"text/event-stream": {"schema": {"type": "string"}}}}}
    return {"summary": "What happens, as it happens", "responses": responses | _refusals(403, 503)}


def _parameters(query: type[queries.Query]) -> list[dict[str, Any]]:
    schema = TypeAdapter(query).json_schema()
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": part.pop("description", ""),
            "schema": {key: value for key, value in part.items() if key != "title"},
        }
        for name, part in schema["properties"].items()
    ]


def _refusals(*statuses: int) -> dict[str, Any]:
    texts = {
        400: "Not understood",
        403: "Not allowed",
        404: "Not there",
        413: "Too long",
        415: "Not JSON",
        500: "A defect",
    }
    return {str(s): _content(texts.get(s, "No time to answer now"), _ref(documents.Refusal)) for s in statuses}


def _content(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {_JSON: {"schema": schema}}}


def _ref(answer: type[Any]) -> dict[str, str]:
    return {"$ref": _REF.format(model=answer.__name__)}
