"""The made-up daemon answers as the real one: otherwise the page's tests would prove nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter

from lstm_stream.outputs.web.api import RESOURCES, ROOT, Resource
from tests.page.fake import Fleet, application, example

PATHS = {route.path for route in application(example()).routes}
ASKED = [resource for resource in RESOURCES if ROOT + resource.path in PATHS]  # by the page
ABOUT = {"group": "pumps", "sensor": "pump-2"}


async def asked(fleet: Fleet, path: str, query: dict[str, str]) -> Any:
    """A document of the made-up API."""
    transport = httpx.ASGITransport(application(fleet))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return (await client.get(ROOT + path, params=query)).raise_for_status().json()


@pytest.mark.parametrize("resource", ASKED, ids=lambda resource: resource.path)
def test_made_up_answers_have_the_shape_of_the_api(resource: Resource) -> None:
    fleet = example()
    fleet.command({"verb": "acknowledge", **ABOUT, "argument": "alarm-0", "comment": ""})
    query = ABOUT if "group" in resource.query.model_fields and "search" not in resource.query.model_fields else {}
    document = asyncio.run(asked(fleet, resource.path, query))
    TypeAdapter(resource.answer).validate_python(document)
    assert any(document.values())
