"""The pages about functions: true figures with their source, plain words, both languages, no scripts, cheap answers."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import httpx
import numpy as np
import pytest
from tests import tiny
from tests.learning_world import FLEET, LAB, MANIFEST, first, reports
from tests.running import Running, server
from tests.test_privacy_page import Page
from tests.test_words import exported

from fleetune.manifest import Manifest
from fleetune.model import Model
from fleetune.privacy import mechanism
from fleetune.proof import in_words
from fleetune_server.http.pages import function_words
from fleetune_server.http.pages import functions as function_pages
from fleetune_server.http.pages.document import LANGUAGES
from fleetune_server.http.pages.functions import Known, Listing
from fleetune_server.store.base import CellSum
from fleetune_server.training.aggregate import GROUP
from fleetune_server.training.public import ANY, Place, about_functions, answers, publishable

MODEL = Model.from_bytes(first().model)
BUILT = Path(__file__).resolve().parents[1] / "kernels_wasm" / "dist" / "manifest.json"
CATALOGUE = Manifest.load(BUILT.read_bytes())


def known(sums: list[CellSum]) -> Known:
    reported = publishable(sums)
    about = about_functions(sums)
    counts = {name: about.get(kernel.signature, 0) for name, kernel in MANIFEST.kernels.items()}
    rows = answers(MANIFEST, MODEL, LAB, reported)
    return Known(MANIFEST, frozenset(MANIFEST.kernels) - {"kernel1"}, 7, 1_800_000_000.0, rows, counts)


@cache
def catalogued() -> Known:
    """The real catalogue as a model sees it that was never trained on it."""
    return Known(CATALOGUE, frozenset(), 1, 0.0, answers(CATALOGUE, MODEL, None, []), {})


def of_few_cells(count: int, seed: int = 3) -> list[CellSum]:
    """Reports of two functions, all with copied data: of the rest there is lab data only."""
    rows = reports(MODEL, 40_000, seed, heldout=0.0)
    popular = list(MANIFEST.by_signature)[:2]
    return [row for row in rows if row.cell.signature in popular and row.cell.context.copied][:count]


def test_a_cell_is_told_of_from_twenty_reports_and_smaller_ones_only_together() -> None:
    rng = np.random.default_rng(4)
    here = []
    for row in reports(MODEL, 3_000, 4, heldout=0.0):
        counts = rng.integers(1, 30, 3).tolist()
        for version, n in enumerate(counts):
            environment = replace(
                row.cell.environment, version=100 + version, os=str(rng.choice(["linux", "ios"]))
            )
            here.append(replace(row, cell=replace(row.cell, environment=environment), count=n))
    exact: dict[tuple[object, ...], int] = {}
    for row in here:
        cell = row.cell
        key = cell.signature, cell.context, Place.of(cell.environment), cell.candidate
        exact[key] = exact.get(key, 0) + row.count
    rest: dict[tuple[object, ...], int] = {}
    for (signature, context, place, candidate), count in exact.items():
        if count < GROUP:
            whole = signature, context, replace(place, version=ANY), candidate  # type: ignore[type-var]
            rest[whole] = rest.get(whole, 0) + count
    expected = {key: n for table in (exact, rest) for key, n in table.items() if n >= GROUP}
    told = {(one.signature, one.context, one.place, one.candidate): one.reports for one in publishable(here)}
    assert told == expected
    assert {place.version for _, _, place, _ in told} == {ANY, 100, 101, 102}
    assert len(told) < len(exact)


def test_two_lists_never_differ_by_a_single_report() -> None:
    row = reports(MODEL, 3_000, 4, heldout=0.0)[0]
    cell = replace(row, count=40, total=80, squares=40 * 900)
    (before,) = publishable([cell])
    for more in (1, GROUP - 1):
        (after,) = publishable([replace(cell, count=40 + more, total=900)], [before])
        assert after == before
    (moved,) = publishable([replace(cell, count=40 + GROUP, total=900)], [before])
    assert moved.reports == 40 + GROUP
    assert moved.mean > before.mean


def test_a_figure_from_reports_is_what_the_noise_decodes_to() -> None:
    sums = of_few_cells(10_000)
    shown = answers(MANIFEST, MODEL, LAB, publishable(sums))
    told = [(name, row) for name, rows in shown.items() for row in rows if row.source == "reports"]
    assert told
    for name, row in told:
        signature = MANIFEST.kernels[name].signature
        (one,) = (
            one
            for one in sums
            if (one.cell.signature, one.cell.context, one.cell.candidate)
            == (signature, row.context, row.candidate)
            and Place.of(one.cell.environment) == row.place
        )
        # One round: the mean of the centred symbols, in clips, around what the model had predicted.
        mean = one.cell.base_log + one.cell.clip * one.total / (2 * mechanism(2.0).scale) / one.count
        assert row.speedup == pytest.approx(math.exp(mean))
        assert row.reports == one.count
        assert row.low < row.speedup < row.high


def test_intervals_from_reports_hold_the_truth_nineteen_times_in_twenty() -> None:
    frame = FLEET.frame
    columns = (frame.kernel, frame.context, frame.environment, frame.candidate, FLEET.target)
    truth = {
        (
            frame.kernels[k].signature,
            frame.contexts[c],
            Place.of(frame.environments[e]),
            frame.candidates[n],
        ): value
        for k, c, e, n, value in zip(*columns, strict=True)
    }
    told = publishable(reports(MODEL, 60_000, 8, heldout=0.0))
    inside = [
        abs(one.mean - truth[one.signature, one.context, one.place, one.candidate]) < 1.96 * one.sd
        for one in told
    ]
    assert len(inside) > 100
    assert np.mean(inside) > 0.93


def test_every_figure_says_what_it_comes_from() -> None:
    here = known(of_few_cells(10_000))
    html = function_pages.function(here, "kernel0", "en")
    sources = {row.source for row in here.answers["kernel0"]}
    assert sources == {"lab", "reports", "prediction"}
    cells = re.findall(r'<small class="source (\w+)">([^<]+)</small>', html)
    assert len(cells) == len(here.answers["kernel0"])
    for source, words in cells:
        assert {"lab": "lab data", "prediction": "prediction"}.get(source, "reports") in words
    assert "Model version 7, published on 2027-01-15 (UTC)." in html
    assert f"At least {here.reports['kernel0']:,} reports are about this function." in html
    assert "added by the operator" not in html
    assert "added by the operator" in function_pages.function(here, "kernel1", "en")


def test_the_number_of_reports_moves_in_steps_of_twenty() -> None:
    row = next(row for row in reports(MODEL, 300, 4) if row.cell.signature == f"{0:032x}")
    for count, told in (
        (1, 0),
        (GROUP - 1, 0),
        (GROUP, GROUP),
        (2 * GROUP - 1, GROUP),
        (2 * GROUP, 2 * GROUP),
    ):
        assert about_functions([replace(row, count=count)]) == {row.cell.signature: told}
    few = function_pages.function(known([replace(row, count=GROUP - 1)]), "kernel0", "en")
    assert "Fewer than 20 reports are about this function so far." in few
    scattered = [row for row in reports(MODEL, 2_000, 4) if row.cell.signature == f"{0:032x}"]
    assert "No figure here comes from them yet" in function_pages.function(known(scattered), "kernel0", "en")


def test_the_most_reported_versions_of_every_engine_are_told_of_and_no_more_than_eight_places() -> None:
    (told, *_) = publishable(of_few_cells(10_000))
    counts = [("chromium", version, 500) for version in range(120, 156)]
    counts += [
        ("firefox", 150, 30),
        ("firefox", 151, 40),
        ("webkit", 19, 20),
        ("other", 7, 20),
        ("firefox", ANY, 900),
    ]
    reported = [
        replace(told, place=Place(browser, version, True, True), reports=count)
        for browser, version, count in counts
    ]
    shown = {row.place for row in answers(MANIFEST, MODEL, LAB, reported)["kernel0"]}
    lab = set(map(Place.of, LAB.frame.environments))
    versions = {(place.browser, place.version) for place in shown - lab}
    assert lab <= shown
    assert len(shown) == 8
    assert {("firefox", 151), ("webkit", 19), ("other", 7)} < versions
    assert ("firefox", ANY) not in versions
    assert {browser for browser, _ in versions} == {"chromium", "firefox", "webkit", "other"}


def test_lab_guesses_are_no_lab_data() -> None:
    rows = answers(MANIFEST, MODEL, None, [])
    assert {row.source for of in rows.values() for row in of} == {"prediction"}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["", "kernel0"])
def test_the_pages_are_well_formed_and_need_no_scripts(language: str, name: str) -> None:
    here = known(of_few_cells(10_000))
    html = function_pages.function(here, name, language) if name else Listing(here, language).html('"><b>')
    page = Page()
    page.feed(html)
    assert page.open == []
    assert page.tags.count("h1") == page.tags.count("main") == 1
    assert not {"script", "style", "iframe", "b"} & set(page.tags)
    assert not any(attribute.startswith("on") or attribute == "style" for attribute in page.attributes)
    assert not any(":" in address or address.startswith("//") for address in page.addresses)
    for tag in ("og:title", "og:description", "og:image"):
        assert f'property="{tag}"' in html
    assert "{" not in html


def test_the_chart_has_labelled_axes_units_a_legend_and_whole_intervals() -> None:
    here = known([])
    html = function_pages.function(here, "kernel0", "en")
    charts = re.findall(r'<svg class="chart" viewBox="0 0 (\d+) (\d+)" role="img"', html)
    assert len(charts) == 2  # data kept and copied
    for text in ("size (elements", "times as fast as plain JavaScript", "plain JavaScript = 1×"):
        assert html.count(text) >= 2
    ends = [float(y) for pair in re.findall(r'<path d="M[\d.]+ ([\d.-]+)V([\d.-]+)"/>', html) for y in pair]
    assert len(ends) == 2 * len(here.answers["kernel0"])
    assert all(0 < y < float(charts[0][1]) for y in ends), "nothing is cut off"
    places = {row.place for row in here.answers["kernel0"]}
    assert html.count("swatch") == 2 * len(places)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("hash", {"crc32", "fnv1a64", "hamming"}),
        ("checksum", {"crc32", "fnv1a64"}),
        ("Sort", {"sort"}),
        ("resize", {"conv3x3", "gather"}),
        ("сортир", {"sort"}),
        ("matrix multiply", {"matmul", "matvec"}),
        ("rgb_to", {"rgb_to_grey"}),
        ("nothing like it", set()),
    ],
)
def test_functions_are_found_by_name_and_by_everyday_words(query: str, names: set[str]) -> None:
    assert set(Listing(catalogued(), "en").found(query)) == names


def test_the_words_are_those_of_the_catalogue_and_of_the_page() -> None:
    page = exported("const { TABLES: w } = await import('./shared/glossary.js')")
    assert {name: words["ru"] for name, words in page["KERNELS"].items()} == function_words.SUMMARIES
    assert page["PATTERNS"] == function_words.PATTERNS
    assert page["IDEAS"].keys() == function_words.IDEAS.keys() | {function_words.IDEA_OF_LANES}
    kernels = json.loads(BUILT.read_text())["kernels"]
    assert function_words.TASKS.keys() == {kernel["name"] for kernel in kernels}


def test_builds_are_named_in_plain_words_with_the_name_at_hand() -> None:
    dot = CATALOGUE.kernels["dot"]
    assert function_words.build(dot, "loopUnrolling+vectorization", "en") == "4 lanes, unrolled"
    assert function_words.build(CATALOGUE.kernels["crc32"], "vectorization", "ru") == "16 дорожек"
    assert function_words.build(dot, "developersOwn", "en") == "developersOwn"
    html = function_pages.function(known([]), "kernel0", "en")
    assert re.search(r'<span title="inlining\+[^"]*vectorization">16 lanes, inlined', html)


@pytest.mark.parametrize(
    ("name", "language", "said"),
    [
        ("saxpy", "en", r"Equal to the plain module for every n up to \d+, bit for bit\. Assumed: arrays do not "),
        ("saxpy", "en", r"words are aligned, bytes lie at odd addresses; NaN payloads are not compared\."),
        ("crc32", "en", r"bytes lie at odd addresses[.;](?! NaN)"),
        ("copy", "en", r"thresholds above N only tested: \d+"),
        ("dot", "en", r"up to reassociation \(.*\); the difference on values from −1 to 1 was at most \d\.\de-7"),
        ("conv3x3", "en", r"up to N = 32 \(every width up to N with heights 2 to 6\) up to reassociation and fusing"),
        ("sort", "en", r"Not decided: tested only, on [1-9]\d+ inputs beside the plain module; the proof reached n"),
        ("conv3x3", "ru", r"до N = 32 \(каждая ширина до N при высоте от 2 до 6\)"),
        ("dot", "ru", r"разница была не больше \d,\de-7\. Принято без доказательства: массивы не пересекаются"),
    ],
)  # fmt: skip
def test_each_build_has_its_verdict_with_n_and_what_is_assumed(name: str, language: str, said: str) -> None:
    html = function_pages.proofs(CATALOGUE.kernels[name], language)
    assert re.search(said, html)
    assert html in function_pages.function(catalogued(), name, language)
    assert html.count('<tr><th scope="row">') == len(CATALOGUE.kernels[name].variants)


def test_of_a_build_that_nobody_tried_to_prove_nothing_is_claimed() -> None:
    kernel = MANIFEST.kernels["kernel1"]
    found = [in_words(kernel, variant) for variant in kernel.variants.values()]
    assert found[0] == "The plain module, with which the others are compared."
    assert {text[:18] for text in found[1:]} == {"Nothing is proved;"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("pages")
    with server(folder, kernels=tiny.write(folder / "dist"), lab=folder) as started:
        yield started


def test_a_running_server_serves_them_in_the_readers_language(running: Running) -> None:
    with httpx.Client(base_url=running.url) as client:
        assert "Which build is fastest where" in client.get("/functions").text
        russian = client.get("/functions/dot", headers={"accept-language": "ru"})
        assert '<html lang="ru">' in russian.text
        assert russian.headers["vary"] == "accept-encoding, accept-language"
        assert "?lang=ru" in russian.text
        again = client.get(
            "/functions/dot",
            headers={"accept-language": "ru", "if-none-match": russian.headers["etag"]},
        )
        assert again.status_code == 304
        picture = re.search(r'og:image" content="([^"]+)"', russian.text)
        assert picture
        assert client.get(f"/functions/{picture[1]}").headers["content-type"] == "image/png"
        missing = client.get("/functions/nowhere", headers={"accept": "text/html"})
        assert missing.status_code == 404
        assert "There is no such page" in missing.text


def test_a_question_costs_the_server_next_to_nothing() -> None:
    here = Listing(catalogued(), "en")
    took = []
    for query in ["hash", "a " * 10_000, "\x00<script>", "matrix " * 3000] * 10:
        start = time.perf_counter()
        here.html(query)
        took.append(time.perf_counter() - start)
    assert sorted(took)[len(took) // 2] < 0.003  # 0.2 ms on an idle machine
