"""The page and the PNGs as files: complete, self-contained, safe, and of a reasonable size."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.image import imread

from shoal import report
from shoal.errors import StudyError
from shoal.manager.record import StudyRecord
from shoal.report.tables import scores

PNGS = ["comparison", "learning_curves", "lineage", "parallel", "schedules"]


class Page(HTMLParser):
    """The text outside of scripts, what is loaded from elsewhere, and the number of plots."""

    def __init__(self, path):
        super().__init__()
        self.words, self.loaded, self.plots, self._quiet = [], [], 0, 0
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(self.words)

    def handle_starttag(self, tag, attrs):
        self._quiet += tag in ("script", "style")
        attrs = dict(attrs)
        self.loaded += [attrs[name] for name in ("src", "href") if name in attrs]
        self.plots += "plotly-graph-div" in (attrs.get("class") or "")

    def handle_endtag(self, tag):
        self._quiet -= tag in ("script", "style")

    def handle_data(self, data):
        if not self._quiet:
            self.words.append(data.strip())


def test_the_whole_report_of_a_comparison(journal, pbt_events, random_events):
    evolved, rival = journal(pbt_events(), "pbt"), journal(random_events(), "random")
    report.note(rival, test={"accuracy": 0.9611, "samples": 360})
    report.note(evolved, test={"accuracy": 0.9722, "samples": 360}, against=rival)
    path = report.write(evolved)
    page = Page(path)
    assert path == evolved / "report.html"
    assert page.plots == 5
    assert page.loaded == []  # opens without a network
    assert path.stat().st_size < 7e6
    best = StudyRecord.read(evolved).best_score
    for words in ("PBT on digits", f"{-best:.4g}", "0.9722 ± 0.0087", "0.9611", "lr", "Lineage", "Learning curves"):
        assert words in page.text
    assert sorted(file.stem for file in evolved.glob("*.png")) == PNGS
    for file in evolved.glob("*.png"):
        pixels = imread(file)[..., :3]
        assert pixels.shape[1] >= 1200
        assert np.ptp(pixels) > 0.8, f"{file.name} is drawn"


def test_many_structural_hyperparameters_and_few_epochs(journal, pbt_events):
    events = pbt_events(members=8, rounds=2, interval=1)
    kernels = {f"kernel{i}": {"low": 2, "high": 5, "type": "int"} for i in range(12)}
    events[0] = events[0] | {"space": events[0]["space"] | kernels}
    for event in events:
        if "config" in event:
            event["config"] = event["config"] | dict.fromkeys(kernels, 2 + event["trial"] % 4)
    directory = journal(events)
    report.write(directory)
    for name in ("schedules", "parallel"):
        height, width = imread(directory / f"{name}.png").shape[:2]
        assert max(height, width) < 3000


def test_plotly_itself_is_there_once(journal, random_events):
    text = report.write(journal(random_events(trials=3, epochs=4))).read_text(encoding="utf-8")
    assert len(re.findall(r"plotly\.js v\d", text)) == 1


def test_random_search_has_no_lineage_and_no_schedule(journal, random_events):
    directory = journal(random_events(trials=5, epochs=6))
    page = Page(report.write(directory))
    assert page.plots == 3
    assert "Lineage" not in page.text
    assert "schedule" not in page.text
    assert not (directory / "lineage.png").exists()


def test_a_large_study_keeps_its_page_small(journal, pbt_events):
    path = report.write(journal(pbt_events(members=200, rounds=30, interval=2)))
    assert path.stat().st_size < 9e6


@pytest.mark.parametrize("kept", [1, 2, 5, 30])
def test_a_study_that_is_running_can_be_reported(journal, pbt_events, kept):
    page = Page(report.write(journal(pbt_events(members=4)[:kept])))
    assert "not finished" in page.text


def test_where_every_trial_diverged_there_is_no_best(journal, random_events):
    events = random_events(trials=3, epochs=2)
    for event in events:
        if event["event"] in ("point", "report"):
            event["metrics"] = dict.fromkeys(event["metrics"])
        if event["event"] == "report":
            event["score"] = None
    assert "no best" in Page(report.write(journal(events))).text


def test_text_from_a_study_cannot_become_markup(journal, random_events):
    events = random_events(trials=3, epochs=2)
    evil = "<script>alert(1)</script>"
    events[0]["data"]["train"]["name"] = evil
    events[0]["space"] = events[0]["space"] | {evil: {"choice": [evil, "x"]}}
    for event in events:
        if event.get("order") == "start":
            event["config"][evil] = evil
    path = report.write(journal(events))
    assert evil in Page(path).text
    assert evil not in path.read_text(encoding="utf-8")


def test_a_study_that_was_not_kept_is_written_from_its_record(journal, random_events, tmp_path):
    record = StudyRecord.read(journal(random_events(trials=3, epochs=4)))
    path = report.write(tmp_path / "new" / "place", record, test={"accuracy": 0.5})
    assert "0.5" in Page(path).text


def test_notes_add_up_and_are_read_again(journal, random_events):
    one, other = journal(random_events(trials=3, epochs=4), "one"), journal(random_events(trials=2, epochs=4), "other")
    report.note(one, test={"accuracy": np.float64(0.25)})
    report.note(one, against=other)
    assert json.loads((one / "report.json").read_text()) == {"test": {"accuracy": 0.25}, "against": "../other"}
    study, rival = report.summaries(one)
    assert [row[0] for row in scores(study, rival).rows] == ["Random", "Random"]
    assert scores(study, rival).rows[0][2] == "0.25"
    assert scores(study, rival).rows[1][2] == "-"


def test_studies_of_another_metric_cannot_be_compared(journal, random_events):
    one, other = journal(random_events(trials=3, epochs=4), "one"), random_events(trials=2, epochs=4)
    other[0]["metric"] = "loss"
    with pytest.raises(StudyError, match="loss over epochs, not accuracy over epochs"):
        report.note(one, against=journal(other, "other"))
    assert report.summaries(one)[1] is None  # nothing was noted


@pytest.mark.parametrize("content", ["[]", "{", ""])
def test_damaged_notes_are_an_error(journal, random_events, content):
    directory = journal(random_events(trials=3, epochs=4))
    (directory / "report.json").write_text(content)
    with pytest.raises(StudyError, match=r"report\.json: must hold a JSON object"):
        report.write(directory)


def test_a_directory_without_a_study_is_an_error(tmp_path):
    with pytest.raises(StudyError, match="journal"):
        report.write(tmp_path)
