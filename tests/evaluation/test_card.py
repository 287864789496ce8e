"""A model card is shown by MLflow as Markdown: whatever data holds is text in it."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from markdown_it import MarkdownIt

from jobs.core.manifest import Manifest
from jobs.evaluation.card import Card

SCRIPT = "<script>alert(1)</script> | **x** [y](javascript:z) `q`\n# z\x1b[2J"
SHOWN = "<script>alert(1)</script> | **x** [y](javascript:z) `q`\\n# z\\x1b[2J"


def manifest(step, **facts):
    moment = datetime(2018, 7, 11, 3, tzinfo=UTC)
    return Manifest(
        pipeline="fraud",
        step=step,
        date=date(2018, 7, 10),
        attempt="a",
        params_digest="p" * 64,
        code_version="c",
        model_digest="d" * 64,
        facts=facts,
        started=moment,
        ended=moment,
        reads={"fraud/validate/2018-07-10": "x"} if step == "snapshot" else {},
    )


def test_texts_of_data_and_of_people_are_text_in_a_card():
    metrics = {"auc": 0.9, f"auc {SCRIPT}".replace(".", ""): 0.8}
    gate = manifest(
        "gate",
        verdict="promoted",
        reasons=[f"ok {SCRIPT}"],
        metrics=metrics,
        slices={f"slice {SCRIPT}": (0.5, 7)},
        mode="enforce",
        model_version="3",
        champion=None,
        champion_version=None,
        champion_metrics=None,
    )
    drift = manifest(
        "check_drift",
        report="",
        report_url="",
        judged=True,
        drifted=[f"day {SCRIPT}"],
        warnings=[],
        decayed=False,
    )
    card = Card(
        manifest("snapshot", rows=2, train=1, holdout=1, snapshot_md5="m", dvc=""),
        manifest("train", device="cpu", model_version="3", metrics=metrics),
        gate,
        drift,
        f"ana {SCRIPT}",
        ["a limit"],
    )
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(card.to_markdown())
    assert not re.findall(r"<script|<a |<em>|\x1b", html)
    assert html.count("<h1>") == 1
    plain = html.replace("&lt;", "<").replace("&gt;", ">")
    for where in ("auc", "ok", "slice", "day", "ana"):
        assert f"{where} {SHOWN}" in plain
