"""A dead link: a page for people, data for programs."""

from __future__ import annotations

import httpx
import pytest

from fleetune_server.http.app import create_app
from fleetune_server.settings import Settings

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


async def get(path: str, headers: dict[str, str]) -> httpx.Response:
    transport = httpx.ASGITransport(create_app(Settings()))
    async with httpx.AsyncClient(transport=transport, base_url="http://fleetune.test") as http:
        return await http.get(path, headers=headers)


@pytest.mark.parametrize(
    ("language", "title"), [("en", "There is no such page"), ("ru", "Такой страницы нет")]
)
async def test_a_person_gets_a_page_in_their_language(language: str, title: str) -> None:
    answer = await get("/nowhere/at/<all>", {**BROWSER, "accept-language": language})
    assert answer.status_code == 404
    assert f"<h1>{title}</h1>" in answer.text
    assert 'href="../../static/shared/style.css"' in answer.text
    assert "<all>" not in answer.text


@pytest.mark.parametrize("headers", [{"accept": "*/*"}, {"accept": "application/json"}])
async def test_a_program_gets_the_error_as_data(headers: dict[str, str]) -> None:
    answer = await get("/nowhere", headers)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
