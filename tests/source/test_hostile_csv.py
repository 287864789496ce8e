"""CSV files as people write them: each line becomes a row or is reported with its number.

A bad line costs no other row.
"""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.core.errors import ConfigError, DataError
from jobs.source.csv_file import CsvFile, CsvFormat
from jobs.source.records import AFTER, CLOSER, ESCAPED, OPEN

HEADER = "id,at,text"


def read(path, columns=None, form=None, **options):
    """{line: values} of the rows, and {line: reason} of the malformed lines."""
    rows, malformed = {}, {}
    file = CsvFile(path, form or CsvFormat(), **options)
    columns = columns or [name for name in file.schema.names if name]
    for batch in file.batches(columns):
        values = zip(*(batch.data[name].to_pylist() for name in columns), strict=True)
        rows |= dict(zip(batch.rows.tolist(), values, strict=True))
        malformed |= {line.row: line.reason for line in batch.malformed}
    assert not rows.keys() & malformed.keys()
    return rows, malformed


@pytest.fixture
def file(tmp_path):
    def write(content, name="rows.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


LONE = {
    "at the start of a text": ('1,a,"Bella', OPEN),
    "at the start of an id": ('"1,a,b', OPEN),
    "after a closed one": ('1,"a","b', OPEN),
    "inside": ('1,"a "nice" day",b', AFTER),
    "escaped by a backslash": (r'1,"a \"nice\" day",b', ESCAPED),
}


@pytest.mark.parametrize(("line", "reason"), LONE.values(), ids=LONE)
@pytest.mark.parametrize("block", [40, 1 << 22])
@pytest.mark.parametrize("after", ["", '9,"quoted, well",z\n', '9,a,"Bella\n', '9,"",""\n'])
def test_a_lone_quote_costs_its_own_row_and_no_other(file, line, reason, block, after):
    good = [f"{row},t,text {row}" for row in range(200)]
    rows, malformed = read(file("\n".join([HEADER, line, *good, after])), block=block)
    assert malformed.pop(2) == reason
    assert set(malformed.values()) <= {OPEN}
    assert len(malformed) == ("Bella" in after)
    lines = {row: values for row, values in rows.items() if row < 203}
    assert lines == {row + 3: (str(row), "t", f"text {row}") for row in range(200)}
    assert len(rows) + len(malformed) == 200 + bool(after)


def test_two_halves_of_a_quote_are_both_rejected_and_what_is_between_them_is_read(file):
    rows, malformed = read(file(f'{HEADER}\n1,a,"Bella\n2,a,b\n3,a,Foo"\n4,a,5" nails\n'))
    assert malformed == {2: OPEN, 4: CLOSER}
    assert rows == {3: ("2", "a", "b"), 5: ("4", "a", '5" nails')}


def test_quotes_inside_texts_are_characters_and_cost_no_time(file):
    lines = [f'{row},5" nails,6" and "more"' for row in range(2000)]
    rows, malformed = read(file("\n".join([HEADER, *lines])))
    assert malformed == {}
    assert rows[2001] == ("1999", '5" nails', '6" and "more"')


@pytest.mark.parametrize("block", [16, 64, 1 << 22])
def test_a_quoted_text_of_several_lines_is_one_row_with_the_number_of_its_first_line(file, block):
    text = 'one\n\n"two", three\nfour'
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([["1", "a", text], ["2", "b", "c"]])
    rows, malformed = read(file(f"{HEADER}\n{out.getvalue()}"), block=block)
    assert (rows, malformed) == ({2: ("1", "a", text), 6: ("2", "b", "c")}, {})


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.text(st.sampled_from('ab ,;"\\\té\U0001f3ac'), max_size=6)] * 3),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from([",", ";", "|", "\t"]),
    st.sampled_from([None, "\\"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.integers(8, 200),
    st.booleans(),
)
def test_what_pythons_writer_writes_is_read_back(
    tmp_path_factory, rows, quoting, delimiter, escape, end, block, last
):
    out = io.StringIO()
    writer = csv.writer(
        out,
        delimiter=delimiter,
        quoting=quoting,
        lineterminator=end,
        escapechar=escape,
        doublequote=not escape,
    )
    writer.writerows([("x", "y", "z"), *rows])
    text = out.getvalue() if last else out.getvalue().removesuffix(end)
    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    path.write_bytes(text.encode())
    form = CsvFormat(delimiter=delimiter, quoted=True, escape=escape)
    rows_read, malformed = read(path, form=form, block=block)
    assert malformed == {}
    assert [values for _, values in sorted(rows_read.items())] == rows


@settings(max_examples=80, deadline=None)
@given(st.lists(st.text(st.sampled_from('a,"\\\r'), max_size=8), max_size=30), st.integers(8, 60))
def test_any_line_is_a_row_or_is_rejected_and_whole_lines_are_never_lost(
    tmp_path_factory, lines, block
):
    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    marked = [part for number, line in enumerate(lines) for part in (line, f"n{number},t,whole")]
    path.write_bytes("\n".join([HEADER, *marked, ""]).encode())
    rows, malformed = read(path, block=block)
    whole = [values[0] for _, values in sorted(rows.items()) if values[1:] == ("t", "whole")]
    assert whole == [f"n{number}" for number in range(len(lines))]
    texts = {number for number, line in enumerate(lines) if line.strip("\r")}
    assert len(rows) + len(malformed) >= len(lines) + len(texts)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
@pytest.mark.parametrize("block", [4, 9, 1 << 22])
def test_line_ends(file, end, block):
    rows, malformed = read(file(end.join([HEADER, "1,a,b", "", '2,"c",d', "3,e,f"])), block=block)
    assert malformed == {}
    assert [*rows.values()] == [("1", "a", "b"), ("2", "c", "d"), ("3", "e", "f")]
    assert [*rows] == [2, 4, 5]


def test_mixed_line_ends_and_a_carriage_return_in_a_text(file):
    rows, malformed = read(file(f"{HEADER}\r\n1,a,b\n2,a,b\r3,a,b\n4,a,Bel\rla\n5,a,b\r\n"))
    assert malformed == {}
    assert sorted(values[0] for values in rows.values()) == ["1", "2", "3", "4", "5"]
    assert ("4", "a", "Bel\rla") in rows.values()  # for the conversion of texts to reject


def test_ragged_rows_a_cut_last_line_and_empty_lines(file):
    rows, malformed = read(file(f"\n\n{HEADER}\n1,a,b\n2,a\n\n3,a,b,c\n4,a,b\n5,20"))
    assert [*rows] == [4, 8]
    assert malformed == {
        5: "has 2 columns where the header has 3",
        7: "has 4 columns where the header has 3",
        9: "has 2 columns where the header has 3",
    }


def test_a_delimiter_at_the_end_of_rows(file):
    expected = {2: ("1", "a", "b"), 3: ("2", "a", "b")}
    assert read(file(f"{HEADER}\n1,a,b,\n2,a,b,\n"))[0] == expected
    assert read(file(f"{HEADER},\n1,a,b,\n2,a,b,\n"))[0] == expected
    _, malformed = read(file(f"{HEADER}\n1,a,b\n2,Bella, Inc.,\n"))
    assert malformed == {3: "has 4 columns where the header has 3"}


def test_headers_are_trimmed_and_a_file_may_have_none(file):
    assert read(file(' id , "at" ,"Amount, EUR"\n1,a,b\n'.replace(' "at" ', "at ")))[0] == {
        2: ("1", "a", "b")
    }
    path = file("1,a,b\n2,c,d\n")
    rows, _ = read(path, ["id", "text"], CsvFormat(names=("id", "at", "text")))
    assert rows == {1: ("1", "b"), 2: ("2", "d")}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_says_the_encoding(file, encoding):
    assert read(file(f"{HEADER}\n1,Zürich,é\n".encode(encoding)))[0] == {2: ("1", "Zürich", "é")}


def test_utf_16_without_a_mark_is_named(file):
    path = file(f"{HEADER}\n1,a,b\n".encode("utf-16-le"))
    with pytest.raises(DataError, match="NUL characters") as failed:
        CsvFile(path, CsvFormat())
    assert "--encoding utf-16-le" in str(failed.value)
    assert read(path, form=CsvFormat("utf-16-le"))[0] == {2: ("1", "a", "b")}


def test_between_tabs_a_quote_is_a_character_unless_quotes_are_named(file):
    path = file('id\ttext\n1\t"Heat\n2\t"It"\n3\tb\n', "rows.tsv")
    assert read(path)[0] == {2: ("1", '"Heat'), 3: ("2", '"It"'), 4: ("3", "b")}
    (batch,) = CsvFile(path, CsvFormat()).batches(["id"])
    assert [(text.partition(",")[0], count) for text, count in batch.notes.items()] == [
        ("lines have a value in quotes", 1)
    ]
    rows, malformed = read(path, form=CsvFormat(quoted=True))
    assert (rows, malformed) == ({3: ("2", "It"), 4: ("3", "b")}, {2: OPEN})
    assert read(file('id,text\n1,"Heat\n2,b\n'), form=CsvFormat(quoted=False))[1] == {}


@pytest.mark.parametrize("escape", ["\\\\", "", "é", '"'])
def test_an_escape_is_one_character(escape):
    with pytest.raises(ConfigError, match="is not one character"):
        CsvFormat(escape=escape)


def test_a_backslash_escapes_where_it_is_named(file):
    path = file('id,text\n1,"say \\"hi\\", she said"\n2,"C:\\\\"\n3,\\N\n4,a\\,b\n')
    rows, malformed = read(path, form=CsvFormat(escape="\\"))
    assert rows == {
        2: ("1", 'say "hi", she said'),
        3: ("2", "C:\\"),
        4: ("3", "\\N"),
        5: ("4", "a,b"),
    }
    assert malformed == {}
