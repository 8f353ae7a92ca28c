"""Blocks of Notion as Markdown."""

import pytest

from automation.pipelines.notion_vercel.markdown import markdown, title

PLAIN = {"bold": False, "italic": False, "strikethrough": False, "underline": False, "code": False, "color": "default"}


def text(words, href=None, **annotations):
    return {"type": "text", "plain_text": words, "href": href, "annotations": PLAIN | annotations}


def block(kind, *texts, children=(), **content):
    texts = [text(each) if isinstance(each, str) else each for each in texts]
    found = {"type": kind, kind: {"rich_text": texts, **content}}
    return found | ({"children": list(children)} if children else {})


def test_a_page_of_all_kinds():
    page = [
        block("heading_1", "Pages"),
        block("paragraph", "One page\nis enough."),
        block("heading_2", "Lists"),
        block("bulleted_list_item", "bread", children=[block("bulleted_list_item", "rye")]),
        block("to_do", "text", checked=True),
        block("to_do", "photographs", checked=False),
        block("heading_3", "In order"),
        block("numbered_list_item", "first", children=[block("paragraph", "with a remark")]),
        block("numbered_list_item", "second"),
        block("quote", "If my grandmother\ncan order a cake", children=[block("bulleted_list_item", "it is good")]),
        block("callout", "Until Monday"),
        block("code", "<b>\n\n  bold\n</b>", language="html", caption=[]),
        {"type": "divider", "divider": {}},
        block("paragraph"),
        {"type": "equation", "equation": {"expression": "a^2"}},
        {"type": "child_page", "child_page": {"title": "Prices"}},
    ]
    assert markdown(page) == (
        "# Pages\n\nOne page\n  is enough.\n\n## Lists\n\n- bread\n  - rye\n- [x] text\n- [ ] photographs\n\n"
        "### In order\n\n1. first\n   with a remark\n2. second\n\n"
        "> If my grandmother\n> can order a cake\n> - it is good\n\n> Until Monday\n\n"
        "```html\n<b>\n\n  bold\n</b>\n```\n\n---\n\n\n\n$$a^2$$\n\n- Prices"
    )


def test_spaces_stay_outside_of_marks_however_many_they_are():
    spaces = " " * 100_000
    rich = [text(f"a{spaces}"), text(f" {spaces}b{spaces}c ", bold=True), text(spaces, bold=True), text("d")]
    assert markdown([block("paragraph", *rich)]) == f"a{spaces} {spaces}**b{spaces}c** {spaces}d"


def test_lists_begin_to_count_anew():
    items = [block("numbered_list_item", "a"), block("numbered_list_item", "b")]
    assert markdown([*items, block("paragraph", "then"), *items]) == "1. a\n2. b\n\nthen\n\n1. a\n2. b"


def test_columns_show_what_is_in_them():
    columns = [{"type": "column", "column": {}, "children": [block("paragraph", words)]} for words in ("left", "right")]
    assert markdown([{"type": "column_list", "column_list": {}, "children": columns}]) == "left\n\nright"


@pytest.mark.parametrize("kind", ["unsupported", "breadcrumb", "table_of_contents", "of tomorrow"])
def test_what_is_no_text_is_left_out(kind):
    assert markdown([block("paragraph", "a"), {"type": kind, kind: {}}, block("paragraph", "b")]) == "a\n\nb"


def test_a_table():
    def row(*cells):
        return {"type": "table_row", "table_row": {"cells": [[text(cell)] for cell in cells]}}

    table = {"type": "table", "table": {}, "children": [row("Name", "Points"), row("a|b", "two\nlines")]}
    assert markdown([table]) == "| Name | Points |\n| --- | --- |\n| a\\|b | two lines |"


@pytest.mark.parametrize(
    ("part", "shown"),
    [
        (text("bread", bold=True), "**bread**"),
        (text("bread", italic=True), "*bread*"),
        (text("bread", strikethrough=True), "~~bread~~"),
        (text("bread", code=True, bold=True), "**`bread`**"),
        (text("bread", href="https://example.com"), "[bread](https://example.com)"),
        (text(" bread ", bold=True, href="https://example.com"), " [**bread**](https://example.com) "),
        (text(" ", bold=True), " "),
    ],
)
def test_marks(part, shown):
    assert markdown([block("paragraph", "rye", part, "white")]) == f"rye{shown}white"


def test_a_link_to_a_file_of_notion_is_left_out_since_it_is_a_secret():
    external = {"type": "image", "image": {"external": {"url": "https://example.com/a.png"}, "caption": [text("Oven")]}}
    own = {"type": "image", "image": {"file": {"url": "https://s3.example.com/?signature=secret"}, "caption": []}}
    bookmark = {"type": "bookmark", "bookmark": {"url": "https://example.com/", "caption": []}}
    assert markdown([external, own, bookmark]) == (
        "[Oven](https://example.com/a.png)\n\nimage\n\n[bookmark](https://example.com/)"
    )


@pytest.mark.parametrize(
    ("texts", "expected"), [([text("Bakery "), text("L.", bold=True)], "Bakery L."), ([], "Untitled")]
)
def test_the_title_is_that_of_the_property_of_this_type(texts, expected):
    properties = {"Tags": {"type": "multi_select", "multi_select": []}, "Name": {"type": "title", "title": texts}}
    assert title({"properties": properties}) == expected
