"""Attributes of events that are kept as text: a customer's clock and store, and what templates print."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from orchestrator.api.models.problems import FieldProblem
from orchestrator.api.problems import invalid
from orchestrator.config.contact_policy import time_zone
from orchestrator.errors import FieldError, suggestion
from orchestrator.log.contact_facts import HOME_STORE, ZONE


def text_attributes(
    attributes: Sequence[Mapping[str, str | float]], *, fields: Sequence[str], profile: Collection[str], many: bool
) -> list[dict[str, str]]:
    """The texts among the attributes of each event, by name.

    Args:
        attributes: of each event.
        fields: the retailer's `content_fields`.
        profile: names of the attributes that profiles know.
        many: whether the body is a list.

    Raises:
        ProblemError: an attribute that is neither text nor of profiles, a number where a text belongs, or no such time
            zone.
    """
    names = {*fields, ZONE, HOME_STORE}
    known = dict.fromkeys((*profile, *fields, ZONE, HOME_STORE))
    if unknown := [
        FieldProblem(field=_place(name, i, many=many), problem="is not known", fix=suggestion(name, known))
        for i, of_event in enumerate(attributes)
        for name in of_event
        if name not in known
    ]:
        raise invalid(unknown)
    texts = [{name: value for name, value in of_event.items() if name in names} for of_event in attributes]
    if problems := [problem for i, of_event in enumerate(texts) for problem in _problems(of_event, i, many=many)]:
        raise invalid(problems)
    return [{name: str(value) for name, value in of_event.items()} for of_event in texts]


def _problems(texts: Mapping[str, str | float], event: int, *, many: bool) -> Iterator[FieldProblem]:
    for name, value in texts.items():
        place = _place(name, event, many=many)
        if not isinstance(value, str):
            yield FieldProblem(field=place, problem="is a number", fix="send a text")
        elif name == ZONE:
            try:
                time_zone(value)
            except FieldError as error:
                yield FieldProblem(field=place, problem=error.problem, fix=error.fix)


def _place(name: str, event: int, *, many: bool) -> str:
    return f"[{event}].attributes.{name}" if many else f"attributes.{name}"
