"""``make dashboards``: writes the dashboards for Grafana."""

from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import ai_spend, coding_agent, exporter, jobs

FOLDER = Path(__file__).resolve().parent / "dashboards"
BOARDS = {
    "coding-agent": coding_agent.BOARD,
    "jobs": jobs.BOARD,
    "ai-spend": ai_spend.BOARD,
    "exporter": exporter.BOARD,
}


def text_of(board: Dashboard) -> str:
    """The dashboard as Grafana imports it."""
    return f"{JSONEncoder(indent=2, sort_keys=True).encode(board)}\n"


def main() -> None:
    for name, board in BOARDS.items():
        (FOLDER / f"{name}.json").write_text(text_of(board))


if __name__ == "__main__":
    main()
