"""Signed answers: when they are signed, and what a job's page makes of one. `test_page_trust.py` has the attacks."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from tests import node
from tests.signed_site import WEB

from fleetune_server.publish.distribute import RENEW_SECONDS, VALID_SECONDS, SealedAnswer, Sealer
from fleetune_server.publish.keys import KeyRing


def test_a_page_follows_the_servers_guess_about_a_job_only_if_it_is_signed(tmp_path: Path) -> None:
    script = """
    const { askedFor } = await import(process.argv[1]);
    const keys = JSON.parse(process.argv[3]);
    globalThis.fetch = async () => new Response(process.argv[2]);
    const answer = askedFor("https://tuner.example", "sha256", keys).then(({ job }) => job, ({ code }) => code);
    console.log(JSON.stringify(await answer));
    """
    keys = KeyRing.open(tmp_path)
    job = {"name": "sha256"}
    answer = SealedAnswer(
        "decisions",
        {
            "engine": "other-relaxedSimd",
            "version": 1,
            "root": "/",
            "kernels": {"sha256": {}},
            "kinds": {},
            "job": job,
        },
        Sealer(keys),
    ).asset.body.decode()
    guess = (WEB / "embed" / "first_guess.js").as_uri()
    given = json.dumps(keys.root())
    assert node.evaluate(script, guess, answer, given) == job
    assert node.evaluate(script, guess, answer.replace("sha256", "sha512"), given) == "signature"


def test_replicas_sign_alike_on_one_day_and_anew_when_the_day_or_the_keys_change(tmp_path: Path) -> None:
    now = 20_000.5 * RENEW_SECONDS
    ring = KeyRing.open(tmp_path, now=lambda: now)
    rings = (ring, KeyRing(tmp_path, lambda: now))
    one, other = (SealedAnswer("decisions", {"n": 1}, Sealer(keys, lambda: now)) for keys in rings)
    first = one.asset
    now += 0.4 * RENEW_SECONDS
    assert one.asset is first
    assert other.asset.body == first.body
    body = json.loads(first.body)
    assert body.keys() == {"type", "n", "keys", "expires", "signature"}
    assert VALID_SECONDS - RENEW_SECONDS < body["expires"] - now <= VALID_SECONDS
    text = first.body[: first.body.rindex(b',"signature":')] + b"}"
    for key in ring.keys:
        key.private.public_key().verify(base64.b64decode(body["signature"][key.id]), text)
    now += RENEW_SECONDS
    assert json.loads(one.asset.body)["expires"] == body["expires"] + RENEW_SECONDS
    ring.new()
    assert json.loads(one.asset.body)["keys"] == 2
    ring.rotate()
    assert len(json.loads(one.asset.body)["signature"]) == 2
