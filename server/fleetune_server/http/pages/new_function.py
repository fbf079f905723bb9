"""`/functions/new`: write a plain Python function, see its JavaScript and its times. All of it happens in the page."""

from __future__ import annotations

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from fleetune_server.http.pages.document import Document, language_of
from fleetune_server.http.pages.functions import navigation
from fleetune_server.http.pages.public import public_of
from fleetune_server.http.pages.public_words import say as say_public
from fleetune_server.http.pages.write_words import WORDS

SCRIPT = "static/page/write.js"
NAME = "alpha_blend"
EXAMPLE = f"""\
from kernels_wasm.translate.language import In, Out, i32, kernel, u8


@kernel(family="image", sizes=[16, 256, 4096, 65536])
def {NAME}(front: In[u8], back: In[u8], alpha: In[u8], out: Out[u8], n: i32) -> None:
    \"\"\"One image over another through a mask of bytes.\"\"\"
    for i in range(n):
        mixed = front[i] * alpha[i] + back[i] * (255 - alpha[i])
        out[i] = (mixed + 127) // 255
"""
INSTALL = "pip install -e '.[forge]'"
RULES = ("parameters", "statements", "expressions", "types", "calls")
# What the script says in the page's language, by its name in `data-…`.
SAID = ("starting", "translating", "running", "done", "wrong", "slow", "failed", "units", "elements")


def say(language: str, key: str) -> str:
    """The words for a key, with the blanks that the script fills in."""
    return WORDS[language][key]


async def page(request: Request) -> Response:
    """`GET /functions/new`; 404 where the public pages are kept private."""
    public_of(request)
    language = language_of(request)
    headers = {"cache-control": "no-cache", "vary": "accept-language", "content-language": language}
    return HTMLResponse(render(language), headers=headers)


def render(language: str) -> str:
    """The page in one language."""
    lead = say(language, "write.lead")
    document = Document(
        language, say(language, "write.title"), "../", lead, "new", navigation(language, "../"), script=SCRIPT
    )
    said = " ".join(f'data-{name}="{escape(say(language, f"write.{name}"))}"' for name in SAID)
    rules = "\n".join(
        f"<dt>{say(language, f'write.{rule}')}</dt><dd>{say(language, f'write.{rule}.text')}</dd>"
        for rule in RULES
    )
    return document.html(f"""<section id="write" {said}>
<p><a href="../functions?lang={language}">{say_public(language, "function.all")}</a></p>
<h1>{document.title}</h1>
<p class="lead">{lead}</p>
<p><label for="source">{say(language, "write.source")}</label></p>
<textarea id="source" class="source-text" rows="14" spellcheck="false" autocapitalize="off" autocomplete="off"
translate="no">{escape(EXAMPLE)}</textarea>
<p class="actions"><button id="run" class="primary" disabled>{say(language, "write.run")}</button></p>
<noscript><p class="notice">{say(language, "write.noscript")}</p></noscript>
<p id="status" role="status"></p>
<div id="problems" hidden><h2>{say(language, "write.problems")}</h2><ul class="notes" lang="en"></ul></div>
<details><summary>{say(language, "write.rules")}</summary><dl>
{rules}
</dl></details>
</section>
<section id="result" hidden>
<div id="times"><h2>{say(language, "write.times")}</h2>
<p>{say(language, "write.times.text")}</p>
<div class="card scroll" tabindex="0" role="region" aria-label="{say(language, "write.times")}"><table class="answers">
<thead><tr><th scope="col">{say(language, "write.size")}</th><th scope="col">{say(language, "write.js")}</th>
<th scope="col" id="doubles" hidden>{say(language, "write.jsTuned")}</th></tr></thead>
<tbody></tbody></table></div></div>
<h2>{say(language, "write.script")}</h2>
<pre id="script" tabindex="0" role="region" aria-label="{say(language, "write.script")}" translate="no"></pre>
<h2>{say(language, "write.compile")}</h2>
<p>{say(language, "write.compile.text")}</p>
<pre id="command" tabindex="0" translate="no">{escape(INSTALL)}
fleetune forge <span id="name">{NAME}</span>.py</pre>
<p><a id="download" href="#download">{say(language, "write.download")}</a></p>
</section>""")
