import html
import re
import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from jobs.core.text import markdown, markup, printable

ANYTHING = st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "L", "N", "P", "So"]))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("\x07\x00\x7f\x9b31m", r"\x07\x00\x7f\x9b31m"),
        ("\u202eevil\u2066\u2028", r"\u202eevil\u2066\u2028"),
        ("\ud800", r"\ud800"),
        (
            "Bücher 漢字 [/foo] نمی\u200cخواهم 👩\u200d🔬",
            "Bücher 漢字 [/foo] نمی\u200cخواهم 👩\u200d🔬",
        ),
    ],
)
def test_control_characters_are_escaped_and_words_of_every_language_stay(text, shown):
    assert printable(text) == shown


def test_the_caller_may_keep_line_ends():
    assert printable("a\nb\x1b[0m", keep="\n") == "a\nb\\x1b[0m"


@settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # a busy machine is no failure
@given(ANYTHING)
def test_what_is_shown_is_one_line_that_no_terminal_acts_on_and_that_can_be_encoded(text):
    shown = printable(text)
    shown.encode()
    assert len(shown.splitlines()) <= 1
    assert not [each for each in shown if unicodedata.category(each) == "Cc"]
    assert printable(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "</script><script>alert(1)</script>",
            "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;",
        ),
        ("\"' &amp;", "&quot;&#x27; &amp;amp;"),
        ("a\\b\x1b", "a\\\\b\\x1b"),
        ("pos Köln 漢字", "pos Köln 漢字"),
    ],
)
def test_markup_is_text(text, shown):
    assert markup(text) == shown


@settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # a busy machine is no failure
@given(ANYTHING, ANYTHING)
def test_no_two_texts_look_alike_as_markup(one, other):
    shown = markup(one)
    assert not set(shown) & set("<>\"'\n")
    assert (shown == markup(other)) == (one == other)
    assert markup(r"\x1b") != markup("\x1b")


@settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # a busy machine is no failure
@given(st.text(st.sampled_from("<>&\\`*_[]|~#+-=1.) \na\x1b!:/(")))
def test_markdown_shows_a_text_as_it_is(text):
    """Judged by a real renderer, as a paragraph, an item of a list and a cell of a table."""
    renderer = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    safe, plain = markdown(text), printable(text).strip()
    if not plain:
        return
    for page, tag in ((safe, "p"), (f"- {safe}", "li"), (f"| a |\n| --- |\n| {safe} |", "td")):
        shown = renderer.render(page)
        inner = re.search(f"<{tag}>(.*)</{tag}>", shown, re.DOTALL)
        assert inner and html.unescape(inner[1]).strip() == plain, (page, shown)
