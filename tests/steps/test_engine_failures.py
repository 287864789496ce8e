"""An engine's long error goes to a file; the step prints four lines and exits for retry or not."""

from __future__ import annotations

from pathlib import Path

from jobs.core.errors import DataError
from nights import DAY


def damage(path: Path) -> None:
    """Overwrite the middle of a file, as a failing disk does; its two ends still say parquet."""
    data = bytearray(path.read_bytes())
    data[8 : len(data) // 2] = bytes(len(data) // 2 - 8)
    path.write_bytes(data)


def test_a_damaged_file_met_by_spark_is_wrong_data_in_five_lines(at):
    place = at("build_features")
    file = place.home / "lake" / place.manifest("validate").output("transactions").path
    damage(file)
    process = place.nightshift("build_features", "--pipeline", "fraud", "--date", str(DAY))
    output = process.communicate(timeout=300)[0]
    assert process.returncode == DataError.exit_code, output
    lines = output[output.index("error: ") :].splitlines()
    assert lines[0] == f"error: fraud/build_features {DAY}: a file that Spark reads is damaged"
    assert lines[1] == f"  Input: {file}."
    assert lines[2].startswith("  Why: ") and "\tat " not in output
    assert lines[3].startswith(
        f"  Next: write it again (nightshift validate --pipeline fraud --date {DAY})"
    )
    trace = Path(lines[4].removeprefix("  Trace: "))
    assert trace.is_relative_to(place.home / "logs") and trace.read_text().count("\tat ") > 50
    assert len(output.splitlines()) < 15, output
    assert place.manifest("build_features") is None
