"""The measured part of the page, and the goals in it."""

from benchmarks import page
from benchmarks.tables import at_least, at_most, summary, table


def test_a_run_replaces_the_tables_of_the_last_and_leaves_what_people_wrote(tmp_path):
    copy, real = tmp_path / "performance.md", page.PAGE.read_text()
    copy.write_text(real)
    for figure in ("first", "second"):
        page.write(table("Speed", "Measured.", ["work", "this app"], [["all of it", figure]]), copy)
    written = copy.read_text()
    assert "| all of it | second |" in written
    assert "first |" not in written
    around = [real.split(page.BEGIN)[0], real.split(page.END)[1]]
    assert [written.split(page.BEGIN)[0], written.split(page.END)[1]] == around


def test_each_goal_says_whether_it_is_met_and_the_page_how_many_are():
    rows = [["a", at_most(4.1, 4, " µs")], ["b", f"{at_most(3, 4)}, {at_least(20, 30, ' ×')}"], ["c", ""]]
    lines = table("Speed", "What is ≤ 5.", ["work", "goal"], rows)
    assert "| a | ≤ 4 µs **missed** |" in lines
    assert "| b | ≤ 4 met, ≥ 30 × **missed** |" in lines
    assert summary(lines) == "1 of 3 goals are met"
