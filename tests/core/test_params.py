"""params.yaml: errors name the key and the allowed values."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from jobs.core import params
from jobs.core.errors import ConfigError
from jobs.core.params import (
    ExtractParams,
    GateParams,
    PublishParams,
    Section,
    ValidateParams,
    VerifyParams,
)


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "params.yaml"
        path.write_text(text)
        return path

    return write


def refusal(path: Path, step: str, model: type[Section]) -> str:
    with pytest.raises(ConfigError) as caught:
        params.section(path, "fraud", step, model)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_section_is_typed(write):
    path = write(
        "fraud: {validate: {max_bad_fraction: 0.02, volume_severity: warn, "
        "quiet_days: [2018-12-25]}}"
    )
    section = params.section(path, "fraud", "validate", ValidateParams)
    assert (section.max_bad_fraction, section.volume_severity) == (0.02, "warn")
    assert section.quiet_days == (date(2018, 12, 25),)
    assert section.min_volume_fraction == 0.5  # not given: the default


@pytest.mark.parametrize(
    "text", ["fraud: {first_date: 2018-04-01}", "fraud: {extract: }", "fraud: {extract: {}}"]
)
def test_a_section_that_is_not_there_is_all_defaults(write, text):
    assert params.section(write(text), "fraud", "extract", ExtractParams) == ExtractParams()


@pytest.mark.parametrize(
    ("step", "model", "given", "said"),
    [
        (
            "extract",
            ExtractParams,
            "{volume_window_days: 0}",
            ["extract.volume_window_days = 0", "greater than or equal to 1"],
        ),
        (
            "extract",
            ExtractParams,
            "{volume_window_days: soon}",
            ["extract.volume_window_days = 'soon'", "integer"],
        ),
        (
            "extract",
            ExtractParams,
            "{volume_window_days: null}",
            ["extract.volume_window_days = None", "integer"],
        ),
        (
            "validate",
            ValidateParams,
            "{max_bad_fraction: 1.5}",
            ["validate.max_bad_fraction = 1.5", "less than or equal to 1"],
        ),
        (
            "validate",
            ValidateParams,
            "{max_bad_fraction: .nan}",
            ["validate.max_bad_fraction = nan", "finite"],
        ),
        (
            "validate",
            ValidateParams,
            "{volume_severity: shrug}",
            ["validate.volume_severity = 'shrug'", "'fail' or 'warn'"],
        ),
        (
            "validate",
            ValidateParams,
            "{quiet_days: [someday]}",
            ["validate.quiet_days.0 = 'someday'", "date"],
        ),
        (
            "publish",
            PublishParams,
            "{keep_versions: 1}",
            ["publish.keep_versions = 1", "greater than or equal to 2"],
        ),
        (
            "verify",
            VerifyParams,
            "{sample: -1}",
            ["verify.sample = -1", "greater than or equal to 1"],
        ),
        (
            "gate",
            GateParams,
            "{floors: {roc_auc: high}}",
            ["gate.floors.roc_auc = 'high'", "number"],
        ),
        ("gate", GateParams, "{min_margin: .inf}", ["gate.min_margin = inf", "finite"]),
        ("gate", GateParams, "[metric]", ["gate = ['metric']", "valid dict"]),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(write, step, model, given, said):
    message = refusal(write(f"fraud: {{{step}: {given}}}"), step, model)
    assert all(part in message for part in [f"fraud.{said[0]}:", *said[1:]]), message


def test_an_unknown_key_is_named_beside_the_known_ones(write):
    message = refusal(write("fraud: {publish: {keep_version: 3}}"), "publish", PublishParams)
    assert "fraud.publish.keep_version = 3" in message
    assert all(name in message for name in PublishParams.model_fields)


def test_every_wrong_key_is_named_at_once(write):
    message = refusal(
        write("fraud: {publish: {keep_versions: 0, keep_days: 0}}"), "publish", PublishParams
    )
    assert "keep_versions" in message and "keep_days" in message


@pytest.mark.parametrize(
    "text", ["movies: {}\nother: {}", "fraud:\nmovies: {}", "fraud: 3\nmovies: {}"]
)
def test_a_missing_pipeline_names_those_there_are(write, text):
    message = refusal(write(text), "extract", ExtractParams)
    assert "no section fraud" in message and "movies" in message


def test_an_empty_file_has_no_sections(write):
    assert "one of its sections: none" in refusal(write(""), "extract", ExtractParams)


def test_a_file_that_is_not_a_mapping(write):
    assert "does not map" in refusal(write("- fraud"), "extract", ExtractParams)


def test_no_file_says_which_variable_to_set(tmp_path):
    with pytest.raises(ConfigError, match="NIGHTSHIFT_PARAMS") as caught:
        params.load(tmp_path / "absent.yaml")
    assert str(tmp_path / "absent.yaml") in str(caught.value)


def test_text_that_is_not_yaml_names_the_line(write):
    assert "line 2" in refusal(write("fraud:\n  extract: {a: [}\n"), "extract", ExtractParams)


def test_python_objects_are_not_made(write):
    assert "not YAML" in refusal(
        write("fraud: !!python/object/apply:os.getcwd []"), "extract", ExtractParams
    )


def test_anchors_and_merges_are_read(write):
    path = write(
        "keep: &keep {keep_versions: 4, keep_days: 9}\n"
        "fraud: {publish: {<<: *keep, keep_days: 11}}\nmovies: {publish: *keep}\n"
    )
    assert params.section(path, "fraud", "publish", PublishParams) == PublishParams(
        keep_versions=4, keep_days=11
    )
    assert params.section(path, "movies", "publish", PublishParams) == PublishParams(
        keep_versions=4, keep_days=9
    )


def test_the_digest_depends_on_values_only():
    one = PublishParams.model_validate({"keep_versions": 4, "keep_days": 9})
    assert PublishParams.model_validate({"keep_days": 9, "keep_versions": 4}).digest == one.digest
    assert (
        PublishParams(keep_versions=4, keep_days=9, redis_batch=10_000).digest == one.digest
    )  # a default, said
    assert PublishParams(keep_versions=5, keep_days=9).digest != one.digest
    floors = [
        GateParams(floors=dict(order)) for order in ([("a", 1), ("b", 2)], [("b", 2), ("a", 1)])
    ]
    assert floors[0].digest == floors[1].digest


def test_a_section_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        PublishParams().keep_days = 3


def test_first_date(write):
    for written in ("2018-04-01", "'2018-04-01'"):
        assert params.first_date(write(f"fraud: {{first_date: {written}}}"), "fraud") == date(
            2018, 4, 1
        )


@pytest.mark.parametrize(
    "text", ["fraud: {}", "fraud: {first_date: soon}", "fraud: {first_date: 2018-04-01 00:00:00}"]
)
def test_first_date_must_be_a_day(write, text):
    with pytest.raises(ConfigError, match=r"fraud\.first_date.*not a date(.|\n)*YYYY-MM-DD"):
        params.first_date(write(text), "fraud")


def test_every_field_of_the_common_sections_is_described():
    for model in (ExtractParams, ValidateParams, PublishParams, VerifyParams, GateParams):
        assert all(field.description for field in model.model_fields.values()), model


def test_a_section_that_no_step_reads_is_named(write):
    path = write("fraud: {first_date: 2018-04-01, extarct: {volume_window_days: 3}}")
    with pytest.raises(ConfigError, match=r"fraud\.extarct(.|\n)*sections: extract, train"):
        params.check_sections(path, "fraud", ("train", "extract"))
    params.check_sections(
        write("fraud: {first_date: 2018-04-01, extract: {}}"), "fraud", ("train", "extract")
    )
