"""What is kept of jobs that share a name: each keeps its own, and a page that changes leaves little behind."""

# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import pytest
from tests import test_choose_calls

WORLD = f"""
const {{ listOf, mark }} = await import("{(test_choose_calls.EMBED / "kept.js").as_uri()}");
const brief = {{ ...options, sizes: [8], budgetMs: 400 }};
const two = {{ slow, fast: sum }};
/** How many contexts this visit measured, and what it started on. */
const visit = async (name, given, how) => {{
  const f = await choose(name, given, how);
  const {{ source, setAside }} = f.explain();
  const {{ measured }} = await f.ready;
  f.close();
  return [source, measured, Object.keys(setAside)];
}};
"""
FIRST = ["default", 1, []]
AGAIN = ["measured", 0, []]


def run(script: str) -> Any:
    return test_choose_calls.run(WORLD + script)


# What another job of the same name may have: its name, implementations and options.
OTHERS = {
    "implementations": "'job', { slow, other: (d) => sum(d) }, brief",
    "more implementations": "'job', { ...two, other: (d) => sum(d) }, brief",
    "a version": "'job', { slow, fast: { async: false, version: '2', load: () => sum } }, brief",
    "params": "'job', { slow, fast: { async: false, params: 2, load: () => sum } }, brief",
    "a reference": "'job', { fast: sum, slow }, brief",
    "a reference of the same name": "'job', { ...two, slow: (d) => (spin(0.1), sum(d)) }, brief",
    "sizes": "'job', two, { ...brief, sizes: [64] }",
    "patterns": "'job', two, { ...brief, patterns: ['a'], pattern: () => 'a' }",
    "a size": "'job', two, { ...brief, size: (d) => d.byteLength }",
    "an input": "'job', two, { ...brief, input: (n) => new Uint8Array(n) }",
    "a comparison": "'job', two, { ...brief, same: (a, b) => a === b }",
    "a version of all": "'job', two, { ...brief, version: '2' }",
    "promises": "'job', two, { ...brief, async: true }",
    "a name that looks alike": "'job@', two, brief",
}


@pytest.mark.parametrize("other", OTHERS)
def test_two_jobs_that_differ_in_anything_keep_their_own(other: str) -> None:
    first, second = run(f"""
        const jobs = [["job", two, brief], [{OTHERS[other]}]];
        answer = [[], []];
        for (let i = 0; i < 3; i++) for (const [at, job] of jobs.entries()) answer[at].push(await visit(...job));
    """)
    assert first == [FIRST, AGAIN, AGAIN]
    assert (second[0][1], second[1:]) == (1, [AGAIN, AGAIN])


def test_two_jobs_that_are_measured_at_the_same_time_keep_their_own() -> None:
    assert (
        run("""
        const jobs = [["job", two, brief], ["job", { slow, other: (d) => sum(d) }, brief], ["job", two, { ...brief, sizes: [64] }]];
        await Promise.all(jobs.map((job) => visit(...job)));
        answer = await Promise.all(jobs.map((job) => visit(...job)));
    """)
        == [AGAIN] * 3
    )


def test_versions_of_a_job_are_not_taken_for_jobs_of_another_name() -> None:
    assert (
        run("""
        await visit("job", two, { ...brief, version: "2" });
        answer = [await visit("job@2", two, brief), await visit("job/trying", two, brief), await visit("job", two, brief)];
    """)
        == [FIRST] * 3
    )


def test_another_browser_keeps_its_own() -> None:
    """As when one is updated, or one page is isolated and another is not."""
    assert run("""
        answer = [await visit("job", two, brief)];
        globalThis.crossOriginIsolated = true;
        answer.push(await visit("job", two, brief), await visit("job", two, brief));
        globalThis.crossOriginIsolated = false;
        answer.push(await visit("job", two, brief));
    """) == [FIRST, FIRST, AGAIN, AGAIN]


def test_a_page_that_changes_a_hundred_times_leaves_eight_records_and_the_newest_is_known() -> None:
    kept, newest, oldest = run("""
        const quick = { ...brief, budgetMs: 60 };
        for (let version = 0; version < 100; version++) {
          await visit("job", { slow, fast: { async: false, version: String(version), load: () => sum } }, { ...quick, version: String(version >> 1) });
        }
        const at = (version) => choose("job", { slow, fast: { async: false, version, load: () => sum } }, { ...quick, version: String(version >> 1), measure: "never" });
        answer = [(await listOf("job")).length, ...(await Promise.all([at("99"), at("0")])).map((f) => f.explain().source)];
    """)
    assert kept == 8
    assert (newest, oldest) == ("measured", "default")


def test_who_hung_in_one_job_is_left_alone_there_and_not_in_another() -> None:
    assert run("""
        const other = { slow, fast: (d) => sum(d) };
        await visit("job", two, brief);
        await visit("job", other, brief);
        const [, { key }] = await listOf("job");
        await mark({ name: "job", key }, "fast");
        answer = [await visit("job", other, brief), (await visit("job", two, brief))[2], (await listOf("job")).filter(({ trying }) => trying).length];
    """) == [AGAIN, ["fast"], 0]


def test_a_page_that_changes_one_implementation_keeps_what_it_knows_of_the_rest_but_not_of_another_job() -> (
    None
):
    assert run("""
        const three = (version) => ({ slow, fast: sum, third: { async: false, version, load: () => (d) => (spin(0.1), sum(d)) } });
        await visit("job", three("1"), brief);
        const changed = await choose("job", three("2"), { ...brief, measure: "never" });
        const other = await choose("job", three("2"), { ...brief, measure: "never", input: (n) => new Uint8Array(n) });
        answer = [changed, other].map((f) => [f.explain().implementation, Object.keys(f.explain().times).sort()]);
    """) == [["fast", ["fast", "slow"]], ["slow", []]]
