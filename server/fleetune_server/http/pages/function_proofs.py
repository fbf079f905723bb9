"""What is proved of a function's builds: the section of its page, a row a build."""

from __future__ import annotations

from html import escape

from fleetune.manifest import Kernel
from fleetune.proof import in_words
from fleetune_server.http.pages import function_words
from fleetune_server.http.pages.document import table
from fleetune_server.http.pages.public_words import say


def section(kernel: Kernel, language: str) -> str:
    """The verdict on each build, with N and what it assumes. Builds of an operator's own have none."""
    lines = [
        f'<tr><th scope="row">{escape(function_words.build(kernel, name, language))}</th>'
        f"<td>{escape(in_words(kernel, variant, language))}</td></tr>"
        for name, variant in kernel.variants.items()
    ]
    head = [say(language, key) for key in ("proofs.build", "proofs.verdict")]
    return f"""<section>
<h2>{say(language, "proofs.title")}</h2>
<p>{say(language, "proofs.text")}</p>
{table(say(language, "proofs.title"), head, lines, "proofs")}
</section>
"""
