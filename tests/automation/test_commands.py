"""Commands among other programs."""

import os
import sys

import pytest
from django.core.management import execute_from_command_line

COMMANDS = ["ai_spend", "export_history --since 2026-01-01", "reprice_ai_requests", "dump_metrics"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_has_seen_enough_ends_a_command_quietly(command, monkeypatch):
    nobody, pipe = os.pipe()
    os.close(nobody)
    with os.fdopen(pipe, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        with pytest.raises(SystemExit) as end:
            execute_from_command_line(["manage.py", *command.split()])
        monkeypatch.undo()
    assert end.value.code == 141
