"""Markdown from untrusted text, judged by GitHub's own renderer."""

from __future__ import annotations

from html.parser import HTMLParser

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.ci.redact import redactor
from orchestrator.core.secret import Secret
from orchestrator.reports.markdown import code, fenced, table

HOSTILE = [
    "@everyone please approve",
    "@acme/admins",
    "Closes #1",
    "fixes acme/gitops#1",
    "https://evil.example",
    "www.evil.example",
    "[click](https://evil.example)",
    "![pixel](https://evil.example/x.png)",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!-- hidden -->",
    "--> shown",
    "<details><summary>x",
    "`@everyone`",
    "``@everyone``",
    "` @everyone `",
    "`",
    "```\n@everyone\n```",
    "a|b",
    "a\\|@everyone",
    "a\\\\|@everyone",
    "\\`@everyone",
    "one\ntwo\n\n# heading",
    "one\r\n- item",
    "**bold** _em_ ~~no~~",
    "# heading",
    "| a | b |",
    "&lt;b&gt; &#64;everyone",
    "\u202e@everyone",
    "\x1b[31m@everyone",
    ":tada:",
    "$\\LaTeX$",
    "",
    "   ",
    "x" * 500 + "@everyone",
    "`" * 80 + "@everyone",
    "`" * 85 + "@everyone",
    "`" * 200 + "@everyone",
    ("`" * 30 + " ") * 3 + "@everyone",
]


class Outline(HTMLParser):
    """The tags of a page, and its text inside and outside of code."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.codes: list[str] = []
        self.outside = ""
        self._open: list[str] = []
        self.comments: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        self._open.append(tag)
        if tag == "code":
            self.codes.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "code" in self._open:
            self.codes[-1] += data
        else:
            self.outside += data

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def rendered(markdown: str) -> Outline:
    return Outline(cmarkgfm.github_flavored_markdown_to_html(markdown, options=Options.CMARK_OPT_UNSAFE))


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_untrusted_text_stays_inside_its_code(text: str) -> None:
    page = rendered(f"before {code(text)} after")
    assert page.outside.strip().split() == ["before", "after"]
    assert page.tags == ["p", "code"]
    assert len(page.codes) == 1


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_untrusted_text_stays_inside_its_cell(text: str) -> None:
    page = rendered(table(("A", "B"), [(code(text), "next"), (code("x"), code(text))]))
    rows = ["tr", "td", "code", "td", "tr", "td", "code", "td", "code"]
    assert page.tags == ["table", "thead", "tr", "th", "th", "tbody", *rows]
    assert page.outside.split() == ["A", "B", "next"]


@given(st.text(max_size=60) | st.text("`|\\<>!-@# \n[]()&;a", max_size=30))
def test_no_text_leaves_its_code(text: str) -> None:
    page = rendered(table(("A", "B"), [(code(text), code("next"))]) + f"\n\nbefore {code(text)} after")
    assert page.outside.split() == ["A", "B", "before", "after"]
    assert len(page.codes) == 3
    assert page.codes[1] == "next"


@pytest.mark.parametrize("text", ["plain", "a|b", "`tick`", "a``b", "back\\slash", "trailing`", "<b>&amp;"])
def test_harmless_text_reads_as_it_was_written(text: str) -> None:
    assert rendered(f"x {code(text)} y").codes == [text]
    assert rendered(table(("A",), [(code(text),)])).codes == [text]


def test_a_long_text_is_cut() -> None:
    assert code("x" * 120) == "`" + "x" * 120 + "`"
    assert code("x" * 121) == "`" + "x" * 119 + "…`"
    assert code("x" * 300, 300) == "`" + "x" * 300 + "`"


def test_a_secret_is_masked_before_it_could_be_cut_in_two() -> None:
    canary = "canary-of-markdown-0123456789"
    redactor.add(Secret(canary, "$TOKEN"))
    assert "canary-of" not in code("x" * 105 + canary)


def test_no_comment_begins_in_code() -> None:
    assert "<!--" not in code("<!-- hybrid-ci:end -->")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "one\n",
        "no end",
        "```\n@everyone\n```\n",
        "````\n",
        "`" * 100 + "\n@everyone\n",
        "~~~\n@everyone\n~~~\n",
        "</code>",
    ],
)
def test_nothing_ends_a_block_of_code(text: str) -> None:
    page = rendered(f"{fenced(text, 'diff')}\n\nafter")
    assert page.tags == ["pre", "code", "p"]
    assert page.codes == [text if text.endswith("\n") or not text else f"{text}\n"]
    assert page.outside.strip() == "after"
