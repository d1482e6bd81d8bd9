"""The benchmarks' arithmetic and their report, from made-up figures: nothing is measured here."""

from __future__ import annotations

import doctest
import json

import pytest

from tests.benchmarks import figures as figures_module
from tests.benchmarks import profile, reasons, report
from tests.benchmarks.aims import AIMS, Aim, verdict, verdicts
from tests.benchmarks.figures import LABELS, Figures
from tests.benchmarks.peers import OURS, PEERS, peer_class
from tests.benchmarks.peers.peer import Peer
from tests.benchmarks.workloads import PEERS as MOST_PEERS
from tests.benchmarks.workloads import QUICK, QUICK_PEERS, SLOW, WORKLOADS
from tests.benchmarks.workloads.busy import greedy, tail


def run(workload, peer, status="ok", reason="", notes=(), version="1.0", **figures):
    return {
        "workload": workload,
        "peer": peer,
        "status": status,
        "reason": reason,
        "notes": list(notes),
        "version": version,
        "figures": figures,
    }


MADE_UP = Figures(
    {"processor": "a|b, 2 cores"},
    [
        run("noop_100k", "dsage", jobs_per_s=[900_000.0, 1_100_000.0, 1_000_000.0], jobs=[100_000]),
        run("noop_100k", "dsage-nojournal", jobs_per_s=[2_000_000.0], jobs=[100_000]),
        run("noop_100k", "ppe", jobs_per_s=[5_000.0], jobs=[100_000]),
        run("noop_100k", "pool", jobs_per_s=[4_000_000.0], jobs=[100_000]),
        run("noop_100k", "dask", notes=["5,000 jobs instead of 100,000"], jobs_per_s=[450.0], jobs=[5_000]),
        run("noop_100k", "parsl", "missing", "No module named 'parsl'"),
        run("kill", "pool", notes=["hung: nothing more came within 60 s"], right=[0]),
    ],
)


def by_text(text, ours):
    found = [one for one in verdicts(MADE_UP.medians()) if one.aim.text == text and one.ours == ours]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("sense", "factor", "ours", "state", "said"),
    [
        (">=", 2.0, 200.0, "met", "met"),
        (">=", 2.0, 150.0, "MISSED", "MISSED by 25%"),
        ("<=", 1.0, 100.0, "met", "met"),
        ("<=", 1.0, 150.0, "MISSED", "MISSED by 50%"),
    ],
)
def test_an_aim_is_judged_by_the_ratio(sense, factor, ours, state, said):
    aim = Aim("w", "an aim", "f", sense, factor, ("other", "f"))
    judged = verdict(aim, "dsage", {("w", "dsage", "f"): ours, ("w", "other", "f"): 100.0})
    assert (judged.state, str(judged), judged.ratio) == (state, said, ours / 100)


def test_an_aim_without_another_is_a_number():
    aim = Aim("w", "an aim", "f", "<=", 10)
    assert verdict(aim, "dsage", {("w", "dsage", "f"): 12.0}).by == pytest.approx(0.2)
    assert verdict(aim, "dsage", {("w", "dsage", "f"): -1.0}).state == "met"


def test_what_lies_beyond_an_aim_does_not_count():
    beyond = [aim for aim in AIMS if aim.beyond]
    assert len(beyond) == 3
    medians = {("busy_1ms", "dsage", "efficiency"): 0.94, ("busy_1ms", "dsage-nojournal", "efficiency"): 0.94}
    assert [one.state for one in verdicts(medians) if one.aim.beyond] == ["MISSED", "MISSED"]
    assert report.missed(Figures({}, [run("busy_1ms", ours, efficiency=[0.94]) for ours in OURS])) == []


def test_what_was_not_measured_is_not_judged():
    aim = Aim("w", "an aim", "f", "<=", 1, ("other", "f"))
    for medians in ({}, {("w", "dsage", "f"): 1.0}, {("w", "other", "f"): 1.0}):
        assert verdict(aim, "dsage", medians).state == "unknown"


def test_an_aim_may_compare_with_another_figure_of_the_same_variant():
    aim = Aim("w", "an aim", "f", ">=", 0.9, ("self", "g", "v"))
    assert verdict(aim, "dsage", {("w", "dsage", "f"): 95.0, ("v", "dsage", "g"): 100.0}).state == "met"


def test_medians_are_what_is_judged():
    assert by_text("no-ops, journal: 100 times PPE", "dsage").state == "met"
    missed = by_text("no-ops: 0.8 times Pool.map", "dsage-nojournal")
    assert (str(missed), missed.ratio) == ("MISSED by 38%", 0.5)


def test_what_was_missed_has_a_reason_with_the_figures_of_the_run():
    text = report.render(MADE_UP)
    assert "## Why some are missed" in text
    assert "`Pool.map` calls the function in a bare loop (? million calls" in text
    assert "See the profile of *noop*" in text
    assert set(reasons.REASONS) <= set(WORKLOADS)
    assert {name for name, _ in reasons.REASONS.values() if name} <= set(profile.LOADS)


def test_several_runs_of_the_suite_make_one_report_that_says_where_they_differ():
    slower = Figures(
        {}, [run("noop_100k", "dsage-nojournal", jobs_per_s=[900_000.0]), run("noop_100k", "ppe", jobs_per_s=[5_000.0])]
    )
    both = report.together([Figures(MADE_UP.machine, MADE_UP.runs[1:4]), slower])
    text = report.render(both)
    assert both.medians()["noop_100k", "dsage-nojournal", "jobs_per_s"] == 1_450_000
    assert "| no-ops: 200 times ProcessPoolExecutor | dsage-nojournal | met, MISSED |" in text
    assert "2 runs of the suite, one after the other, agree on" in text


def test_the_report_has_it_all():
    text = report.render(
        MADE_UP,
        [("a picture", "plots/a.svg")],
        [{"workload": "noop", "note": "", "processes": {"child": [(0.5, "f")]}}],
    )
    for part in (
        "| no-ops: 0.8 times Pool.map | dsage-nojournal | 2,000,000 | >= 3,200,000 | 0.5 | **MISSED by 38%** |",
        "| dsage | 1,000,000 (900,000 to 1,100,000) | 100,000 |",
        "- dask: 5,000 jobs instead of 100,000",
        "- pool: hung: nothing more came within 60 s",
        "| parsl | could not be installed here |",
        "Best: pool, 4,000,000 (jobs/s).",
        "a\\|b",
        "![a picture](plots/a.svg)",
        "| 50.0% | `f` |",
    ):
        assert part in text
    for peer in PEERS:
        assert peer_class(peer).how in text


def test_figures_come_back_from_the_disk(tmp_path):
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report.packed(MADE_UP)))
    assert report.render(report.load(path)) == report.render(MADE_UP)


def test_the_verdicts_are_told_in_plain_text_too():
    assert "MISSED by 38%" in report.aims_in_plain(MADE_UP)
    assert {one.aim.workload for one in report.missed(MADE_UP)} == {"noop_100k"}


def test_the_tables_name_only_what_there_is():
    for workload in WORKLOADS.values():
        assert set(workload.figures) <= set(LABELS)
        assert set(workload.peers) <= {*PEERS, "machine"}
        assert callable(workload.function())
    for aim in AIMS:
        assert aim.figure in WORKLOADS[aim.workload].figures
        assert set(aim.ours) <= set(OURS)
        if aim.than:
            peer, figure, workload = (*aim.than, aim.workload)[:3]
            assert figure in WORKLOADS[workload].figures
            assert peer == "self" or peer in WORKLOADS[workload].peers
    assert {*QUICK} <= set(WORKLOADS)
    assert {*QUICK_PEERS, *MOST_PEERS, *SLOW} <= set(PEERS)
    assert all(issubclass(peer_class(name), Peer) for name in PEERS)


def test_the_greedy_schedule_is_the_bound_of_the_long_tail():
    assert greedy([3.0, 1.0, 1.0, 1.0], 2) == 3.0
    assert tail(50) == tail(50)
    assert greedy(tail(2000), 2) >= sum(tail(2000)) / 2


@pytest.mark.parametrize("module", [figures_module, profile])
def test_their_examples_are_true(module):
    assert doctest.testmod(module).failed == 0
