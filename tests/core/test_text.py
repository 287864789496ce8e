import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.core.text import printable

ANYTHING = st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "L", "N", "P", "So"]))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("\x07\x00\x7f\x9b31m", r"\x07\x00\x7f\x9b31m"),
        ("\u202eevil\u2066\u2028", r"\u202eevil\u2066\u2028"),
        ("\ud800", r"\ud800"),
        ("Bücher 漢字 [/foo] نمی\u200cخواهم 👩\u200d🔬", "Bücher 漢字 [/foo] نمی\u200cخواهم 👩\u200d🔬"),
    ],
)
def test_control_characters_are_escaped_and_words_of_every_language_stay(text, shown):
    assert printable(text) == shown


def test_the_caller_may_keep_line_ends():
    assert printable("a\nb\x1b[0m", keep="\n") == "a\nb\\x1b[0m"


@given(ANYTHING)
def test_what_is_shown_is_one_line_that_no_terminal_acts_on_and_that_can_be_encoded(text):
    shown = printable(text)
    shown.encode()
    assert len(shown.splitlines()) <= 1
    assert not [each for each in shown if unicodedata.category(each) == "Cc"]
    assert printable(shown) == shown
