"""The language of pages that are written here: asked for in the address, else the browser's."""

from __future__ import annotations

from starlette.requests import Request

LANGUAGES = ("en", "ru")


def language_of(request: Request) -> str:
    """`?lang=` if we have it, else the first of Accept-Language that we have, else English."""
    asked = request.query_params.get("lang")
    if asked in LANGUAGES:
        return asked
    for part in request.headers.get("accept-language", "").split(","):
        language = part.split(";")[0].strip().lower().split("-")[0]
        if language in LANGUAGES:
            return language
    return LANGUAGES[0]
