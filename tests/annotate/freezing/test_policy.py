"""A policy is a strict document: every fault at once, shipped ones are sound, and one's own begins there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from shared_cases import run_here

from figureground.annotate.freezing.policy import load_policy, policy_text, shipped_policies
from figureground.errors import DataError, UsageError

PLAIN = 'name: mine\nversion: "1"\nstates: {take: [accepted]}\n'


def write(folder: Path, text: str) -> str:
    path = folder / "policy.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    text = (
        'name: a/b\nversion: "1"\nstates: {take: [accepted, done], unfit: ask}\nvotes: {at_least: "2"}\n'
        "masks: {min_iou: 90}\nreviewers: {second_person: false}\nrelease: {min_alfa: 0.6, max_left_out: -1}\n"
    )
    with pytest.raises(DataError) as caught:
        load_policy(write(tmp_path, text))
    records = {fault.record for fault in caught.value.faults}
    assert records == {
        "name",
        "states.take.1",
        "states.unfit",
        "votes.at_least",
        "masks.min_iou",
        "reviewers",
        "release.min_alfa",
        "release.max_left_out",
    }


def test_rules_about_people_need_masks_of_people(tmp_path: Path) -> None:
    text = PLAIN.replace("accepted", "unreviewed") + "votes: {at_least: 1}\n"
    with pytest.raises(DataError, match=r"accepted among states\.take, since votes"):
        load_policy(write(tmp_path, text))


def test_a_policy_larger_than_a_card_holds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at most 65536 bytes"):
        load_policy(write(tmp_path, PLAIN + "#" * 70_000))


@pytest.mark.parametrize("name", ["reviewed.json", "nothing"])
def test_what_is_no_policy_names_those_that_are(name: str) -> None:
    with pytest.raises(UsageError, match="double_checked, reviewed"):
        load_policy(name)


def test_a_shipped_policy_printed_is_the_same_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shipped_policies() == ("double_checked", "reviewed")
    for name in shipped_policies():
        code, printed, _ = run_here(capsys, "policy", name)
        assert code == 0
        own = load_policy(write(tmp_path, printed))
        assert own.policy == load_policy(name).policy
        assert own.sha256 == hashlib.sha256(policy_text(name).encode()).hexdigest()
    assert list(json.loads(run_here(capsys, "policy", "--json")[1])) == list(shipped_policies())
    code, _, error = run_here(capsys, "policy", "strict")
    assert (code, "no policy 'strict'" in error) == (2, True)
