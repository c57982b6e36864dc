"""Lint: every rule over every object, by any number of workers, and what was found in one order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from figureground.annotate.lint.class_rules import ObjectFacts, facts_of
from figureground.annotate.lint.findings import DIGITS, Finding, Observation
from figureground.annotate.lint.looks import Look
from figureground.annotate.lint.registry import RULES, chosen_rules
from figureground.annotate.lint.settings import DEFAULTS, SEVERITIES, LintSettings, Severity
from figureground.annotate.lint.subjects import Subject
from figureground.annotate.lint.waivers import Waiver, judge_waivers, waive
from figureground.console import count_text, table_text
from figureground.errors import Fault, Faults, printable
from figureground.runtime.engines import EngineChoice
from figureground.runtime.pools import LazyJobs, open_engine
from figureground.runtime.progress import Progress
from figureground.schemas.attributes import OBJECT
from figureground.schemas.rasters.masks import encode_coco_rle, tight_box
from figureground.schemas.records import SourceRow
from figureground.schemas.sources.names import photo_name

_OBJECTS_A_JOB: Final = 8
"""Objects that a worker is handed at a time, so that handing costs nothing."""
_SHOWN: Final = 10
"""Findings of one rule that a text spells out."""
HERE: Final = EngineChoice()
"""Processes of this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LintRequest:
    """How objects are checked."""

    settings: LintSettings = DEFAULTS
    rules: tuple[str, ...] = ()
    """Names of rules to run; empty for all that the settings leave on."""
    waivers: tuple[Waiver, ...] = ()
    engine: EngineChoice = HERE
    workers: int = 1


@dataclass(slots=True, kw_only=True)
class LintReport:
    """What was checked, and what was found."""

    findings: list[Finding] = field(default_factory=list)
    """The worst first, then by rule, object, mask."""
    objects: int = 0
    """Objects that were checked."""
    passed_over: int = 0
    """Objects without a mask that are to have none."""
    checked: dict[str, int] = field(default_factory=dict)
    """Rule that ran to the objects that it looked at; a rule that lacked what it needs looked at none."""
    faults: Faults = field(default_factory=Faults)
    """Waivers that fit nothing."""

    @property
    def standing(self) -> list[Finding]:
        """Findings that nobody waived."""
        return [finding for finding in self.findings if not finding.waived_by]

    def at_least(self, severity: Severity) -> list[Finding]:
        """Findings that nobody waived, of a severity or a worse one."""
        worst = SEVERITIES[: SEVERITIES.index(severity) + 1]
        return [finding for finding in self.standing if finding.severity in worst]

    def faults_at_least(self, severity: Severity) -> list[Fault]:
        """Those findings, as faults of the data."""
        return [fault_of(finding) for finding in self.at_least(severity)]

    def summary(self) -> dict[str, Any]:
        """Coverage in numbers, for a release: objects, and for each rule what it checked, found, and what is waived."""
        standing = Counter(finding.rule for finding in self.standing)
        waived = Counter(finding.rule for finding in self.findings if finding.waived_by)
        severity = {finding.rule: finding.severity for finding in self.findings}
        rules = {
            name: {
                "severity": severity.get(name, RULES[name].severity),
                "checked": count,
                "findings": standing[name],
                "waived": waived[name],
            }
            for name, count in self.checked.items()
        }
        return {"objects": self.objects, "findings": standing.total(), "waived": waived.total(), "rules": rules}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        return {
            "summary": self.summary(),
            "passed_over": self.passed_over,
            "findings": [finding.to_dict() for finding in self.findings],
            "faults": list(map(str, self.faults)),
        }

    def __str__(self) -> str:
        """A table of rules, then the findings that stand, ten of a rule."""
        summary = self.summary()
        counts = Counter(finding.severity for finding in self.standing)
        head = ", ".join(count_text(counts[severity], severity) for severity in SEVERITIES)
        lines = [f"{count_text(self.objects, 'object')} checked: {head}; {summary['waived']} waived"]
        rows = [["rule", "severity", "checked", "findings", "waived"]]
        rows += [
            [name, own["severity"], str(own["checked"]), str(own["findings"]), str(own["waived"])]
            for name, own in summary["rules"].items()
            if own["findings"] or own["waived"] or not own["checked"]
        ]
        lines += [table_text(rows)] if len(rows) > 1 else []
        spelled: Counter[str] = Counter()
        for finding in self.standing:
            spelled[finding.rule] += 1
            if spelled[finding.rule] <= _SHOWN:
                lines.append(f"{finding.severity} {finding.rule}: {_where(finding)}: {finding.words}")
        lines += [f"and {count - _SHOWN} more of {rule}" for rule, count in sorted(spelled.items()) if count > _SHOWN]
        return "\n".join(printable(line, keep="\n") for line in lines)


def _where(finding: Finding) -> str:
    """``ID MASK (SOURCE: FILE)``; without the mask where it is that of the object as a whole."""
    mask = "" if finding.mask == OBJECT else f" {finding.mask}"
    return f"{finding.object_id}{mask} ({photo_name(finding.source, finding.uri)})"


def fault_of(finding: Finding) -> Fault:
    """A finding as a fault of the data."""
    return Fault(
        where=f"lint {finding.rule}",
        record=_where(finding),
        expected=RULES[finding.rule].asks,
        got=finding.words,
        remedy="mend the mask, decide otherwise, or waive it with a reason",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """Some objects, for one worker."""

    subjects: tuple[Subject, ...]
    settings: LintSettings
    rules: Mapping[str, Severity]
    sources: Mapping[str, SourceRow] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where one object is; those of a million objects are in memory at once."""

    image_id: str
    object_id: str
    label: str
    source: str
    uri: str
    origin: str

    @classmethod
    def of(cls, subject: Subject) -> _Place:
        """That of an object."""
        photo = subject.photo
        return cls(
            image_id=photo.image_id,
            object_id=subject.object_id,
            label=photo.label,
            source=photo.source,
            uri=photo.uri,
            origin=subject.origin,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checked:
    """One object, checked by itself."""

    place: _Place
    findings: tuple[Finding, ...]
    facts: ObjectFacts
    answered: bool
    """Whether the answer that the mask comes from was at hand."""


def lint(
    subjects: Sequence[Subject | None],
    request: LintRequest,
    *,
    sources: Mapping[str, SourceRow] | None,
    known: Collection[str] | None = None,
    progress: Progress = lambda *_: None,
) -> LintReport:
    """Check objects by every rule that was asked for; the same objects give the same report by any engine.

    Args:
        subjects: The objects; None for one that is passed over.
        request: Thresholds, rules, waivers, workers.
        sources: Where photos lie; None to look at masks alone.
        known: image_id of every photo that there is, for waivers of objects that are not checked; None for those of
            ``subjects``.
        progress: Called with ("lint", objects done, objects in all).

    Returns:
        What was found. Waivers that fit nothing stand in ``faults``, for the caller to raise.

    Raises:
        UsageError: for rules that do not exist.
        ServiceError: if a worker dies.
    """
    rules = chosen_rules(request.settings, request.rules)
    report = LintReport(checked=dict.fromkeys(rules, 0))
    jobs = LazyJobs(lambda number: _job(subjects, number, request, rules, sources), -(-len(subjects) // _OBJECTS_A_JOB))
    objects: list[_Checked] = []
    done = 0
    with open_engine(request.engine, workers=request.workers) as engine:
        for checked, count in engine.run(_check_job, jobs):
            objects += checked
            done += count
            progress("lint", done, len(subjects))
    report.objects, report.passed_over = len(objects), len(subjects) - len(objects)
    answered = sum(own.answered for own in objects)
    counts = {"mask": len(objects), "photo": len(objects) if sources is not None else 0, "answer": answered}
    report.checked = {name: counts[RULES[name].need] for name in rules}
    findings = [finding for own in objects for finding in own.findings]
    findings += _compare(objects, request.settings, rules)
    report.findings = sorted(waive(findings, request.waivers), key=lambda finding: finding.order)
    ids = {name for own in objects for name in (own.place.object_id, own.place.image_id)}
    ran = [name for name, count in report.checked.items() if count]
    report.faults = judge_waivers(
        request.waivers, report.findings, rules=ran, checked=ids, known=ids if known is None else known
    )
    return report


def _job(
    subjects: Sequence[Subject | None],
    number: int,
    request: LintRequest,
    rules: Mapping[str, Severity],
    sources: Mapping[str, SourceRow] | None,
) -> tuple[_Job, int]:
    places = range(number * _OBJECTS_A_JOB, min((number + 1) * _OBJECTS_A_JOB, len(subjects)))
    chosen = tuple(subject for place in places if (subject := subjects[place]) is not None)
    return _Job(subjects=chosen, settings=request.settings, rules=rules, sources=sources), len(places)


def _check_job(job: tuple[_Job, int]) -> tuple[list[_Checked], int]:
    own, count = job
    return [_check(subject, own) for subject in own.subjects], count


def _check(subject: Subject, job: _Job) -> _Checked:
    look, place = Look(subject, job.settings, job.sources), _Place.of(subject)
    findings: list[Finding] = []
    for name, severity in job.rules.items():
        rule = RULES[name]
        possible = rule.need != "photo" or job.sources is not None
        if rule.check is not None and possible:
            findings += (_finding(place, name, severity, seen) for seen in rule.check(look))
    return _Checked(place=place, findings=tuple(findings), facts=facts_of(look), answered=subject.answer is not None)


def _compare(objects: Sequence[_Checked], settings: LintSettings, rules: Mapping[str, Severity]) -> Iterable[Finding]:
    """Findings of the rules that look at all objects."""
    by_id = {own.place.object_id: own.place for own in objects}
    facts = [own.facts for own in objects]
    for name, severity in rules.items():
        compare = RULES[name].compare
        for object_id, seen in compare(facts, settings) if compare is not None else ():
            yield _finding(by_id[object_id], name, severity, seen)


def _finding(place: _Place, rule: str, severity: Severity, seen: Observation) -> Finding:
    marked = seen.marked_hw
    return Finding(
        rule=rule,
        severity=severity,
        image_id=place.image_id,
        object_id=place.object_id,
        mask=seen.mask,
        value=round(float(seen.value), DIGITS),
        unit=seen.unit,
        threshold=float(seen.threshold),
        words=seen.words,
        label=place.label,
        source=place.source,
        uri=place.uri,
        origin=place.origin,
        box_xyxy_px=None if marked is None else tight_box(marked),
        marked=None if marked is None else encode_coco_rle(marked),
    )
