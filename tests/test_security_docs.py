"""docs/security.md says of every scope what it allows."""

from __future__ import annotations

import re
from pathlib import Path

from orchestrator.access.scopes import Scope
from orchestrator.api.scopes import SCOPES

TEXT = (Path(__file__).parents[1] / "docs" / "security.md").read_text(encoding="utf-8")


def test_the_table_of_scopes_names_every_route_and_no_other() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", TEXT, flags=re.M))
    assert set(rows) == {str(scope) for scope in Scope}
    told = {
        (method, path): scope
        for scope, allows in rows.items()
        for method, path in re.findall(r"`([A-Z]+) (/\S+)`", allows)
    }
    assert told == {route: str(scope) for route, scope in SCOPES.items()}
