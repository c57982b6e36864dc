"""Errors: every fault in one message, and none lost on the way out of a worker."""

from __future__ import annotations

import pickle

import pytest

from figureground import errors
from figureground.errors import DataError, Fault, Faults, MissingExtraError, ServiceError, UsageError


def test_faults_are_told_together_in_order_with_remedies() -> None:
    faults = Faults()
    faults.add("b.yaml", "seed", expected="a number", got="x")
    faults.add("a.yaml", "", expected="a file", got="none", remedy="make it")
    with pytest.raises(DataError) as caught:
        faults.raise_if_any()
    assert str(caught.value).splitlines() == [
        "2 faults in the data:",
        "  a.yaml: expected a file, got none; make it",
        "  b.yaml: seed: expected a number, got x",
    ]


def test_no_faults_raise_nothing() -> None:
    Faults().raise_if_any()


def test_data_errors_survive_pickling() -> None:
    error = DataError([Fault(where="a", record="1", expected="x", got="y")])
    again = pickle.loads(pickle.dumps(error))
    assert again.faults == error.faults
    assert str(again) == str(error)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(DataError([]), 1, id="data"),
        pytest.param(UsageError("x"), 2, id="usage"),
        pytest.param(MissingExtraError("torch", "sam"), 2, id="extra"),
        pytest.param(ServiceError("x"), 3, id="service"),
    ],
)
def test_exit_codes(error: DataError | UsageError | ServiceError, code: int) -> None:
    assert error.exit_code == code


def test_a_missing_extra_says_what_to_install() -> None:
    assert "pip install 'figureground[sam]'" in str(MissingExtraError("torch", "sam"))


def test_secrets_are_looked_up_once_for_all_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of thousands of lines may be at fault in each; the Hub's login is read from the disk."""
    asked = list[bool]()

    def login() -> str:
        asked.append(True)
        return "hf_abcdefgh"

    monkeypatch.setattr(errors, "_hub_login", login)
    faults = [Fault(where="a.csv", record=f"line {row}", expected="a label", got="hf_abcdefgh") for row in range(5000)]
    error = DataError(faults)
    assert len(asked) <= 2  # once for its faults, once for its message
    assert str(error).splitlines()[1] == "  a.csv: line 0: expected a label, got ***"
    assert [str(fault) for fault in error.faults[:3]] == sorted(str(fault) for fault in error.faults)[:3]
