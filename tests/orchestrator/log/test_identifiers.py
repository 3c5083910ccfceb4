"""Decision ids."""

from __future__ import annotations

import uuid

from hypothesis import given, strategies as st

from orchestrator.log.identifiers import decision_ids


@given(count=st.integers(1, 50), now=st.floats(0, 4e9))
def test_ids_are_version_7_uuids_of_their_millisecond_in_order(count, now):
    ids = decision_ids(count, now=now)
    assert len(set(ids)) == count
    assert ids == sorted(ids)
    for text in ids:
        parsed = uuid.UUID(text)
        assert str(parsed) == text
        assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
        assert parsed.int >> 80 == int(now * 1000)


def test_later_ids_sort_after_earlier_ones():
    assert max(decision_ids(100, now=1e9)) < min(decision_ids(100, now=1e9 + 0.001))
