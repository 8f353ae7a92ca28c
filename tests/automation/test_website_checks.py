"""What is found wrong with the files of a website."""

import time
import warnings

import pytest

from automation.pipelines.notion_vercel import checks
from automation.pipelines.notion_vercel.checks import complaints, title_of

INDEX = {"index.html": "<!doctype html><title>Bakery</title><p>Bread"}

GOOD = {
    "style.css": "a { color: red; &:hover { color: blue } } } what a browser does not understand",
    "script.js": "const { a, ...rest } = b ?? c?.d; export default async () => { await import(`./${a}.js`) };",
    "lib/tool.mjs": "for await (const x of y) label: while (1_000n) break label",
    "data.json": '{"round": [1, 2]}',
    "site.webmanifest": "{}",
    "a/b/c-d_e.1.svg": "<svg>",
    "about.html": "<html><head><title>About us &amp; them</title>",
    "robots.txt": "",
    "README.md": "# Bakery",
    "sitemap.xml": "<urlset/>",
}


def test_a_good_website_has_no_complaints():
    with warnings.catch_warnings(action="error"):
        assert complaints(INDEX | GOOD) == []


PATHS = [
    "",
    "/",
    "/etc/passwd.txt",
    "//a.txt",
    "a//b.txt",
    "../a.txt",
    "a/../../b.txt",
    "./a.txt",
    "a/./b.txt",
    "..\\a.txt",
    "a\\b.txt",
    "C:\\a.txt",
    "C:a.txt",
    "a\0.txt",
    "a.txt\0",
    "a\n.txt",
    "a.txt\n",
    " a.txt",
    ".git/config.txt",
    "a/.git/hooks/post-checkout",
    ".env",
    ".vercel/project.json",
    "a/",
    "a b.txt",
    "~/a.txt",
    "%2e%2e/a.txt",
    "größe.txt",
    "a\u2215b.txt",
    f"{'a' * 200}.txt",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_may_lead_out_of_the_project_is_refused(path):
    assert complaints(INDEX | {path: ""}) == [f"{path[: checks.MAX_PATH]!r} is no path within the project."]


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"a.js": "let a = 1\nlet = = 2\n"}, "a.js is no JavaScript: line 2."),
        ({"a.mjs": "let = = 1"}, "a.mjs is no JavaScript: line 1."),
        ({"a.js": "(a=>{" * 50_000}, "a.js is no JavaScript: line 1."),
        ({"a.json": "{"}, "a.json is no JSON: Expecting property name"),
        ({"a.json": "[" * 100_000}, "a.json is no JSON: maximum recursion depth exceeded"),
        ({"a.js": "/[(" * 90_000}, "a.js takes longer than 2 s to read."),
        ({"a.py": "print()"}, "a.py is of no kind that a website may have: "),
        ({"a.html": "<p>Bread"}, "a.html has no title."),
        ({"a.html": "<title> </title>"}, "a.html has no title."),
        ({"a.php": "<?php"}, "a.php is of no kind that a website may have: .html, "),
        ({"Makefile": "all:"}, "Makefile is of no kind that a website may have: .html, "),
        ({"package.json": "{}"}, "package.json would run where the website is built or served."),
        ({"a/vercel.json": "{}"}, "a/vercel.json would run where the website is built or served."),
        ({"api/hello.js": "export default () => 1"}, "api/hello.js would run where the website is built or served."),
        ({"middleware.js": "export default () => 1"}, "middleware.js would run where the website is built or served."),
        ({"Src/Middleware.mjs": "1"}, "Src/Middleware.mjs would run where the website is built or served."),
        ({"middleware.json": "1"}, "middleware.json would run where the website is built or served."),
        ({"requirements.txt": "evil"}, "requirements.txt would run where the website is built or served."),
        ({"A.txt": "", "a.txt": ""}, "Two paths differ in capital letters only."),
        ({"a.txt": "", "a.txt/b.txt": ""}, "'a.txt' is a file and a folder."),
        ({"a.txt": "", "A.txt/b.txt": ""}, "'a.txt' is a file and a folder."),
        ({"a.txt": "ü" * 150_001}, "a.txt has 300,002 bytes; 300,000 are allowed."),
    ],
)  # fmt: skip
def test_a_file_that_is_wrong_is_named(files, complaint):
    [found] = complaints(INDEX | files)
    assert found.startswith(complaint)


def test_a_website_without_an_index_is_none():
    assert complaints({"a/index.html": INDEX["index.html"]}) == ["There is no index.html."]
    assert complaints({}) == ["There is no index.html."]


def test_number_and_size_of_all_files_are_bounded():
    many = {f"{number}.txt": "" for number in range(checks.MAX_FILES)}
    assert complaints(INDEX | many) == ["There are 101 files; 100 are allowed."]
    large = {f"{number}.txt": "a" * 290_000 for number in range(7)}
    assert complaints(INDEX | large) == ["The files have 2,030,044 bytes together; 2,000,000 are allowed."]


@pytest.mark.parametrize("part", ["<!--", "<![", "<a ", "<title>", "</", "<!DOCTYPE [", "<?", "&#"])
def test_text_that_is_made_to_take_long_does_not(part):
    clock = time.perf_counter()
    complaints({"index.html": part * 50_000})
    assert time.perf_counter() - clock < 2


def test_a_title_is_read_as_a_browser_shows_it():
    assert title_of("<head><TITLE lang=en>\n  Bread &amp;\n cakes</TITLE>") == "Bread & cakes"
