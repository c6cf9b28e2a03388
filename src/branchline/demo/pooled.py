"""The same analyses with all patients in one place, as nobody could do them: to compare with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from branchline.demo.data import patients_of

if TYPE_CHECKING:
    import pandas as pd

TOLERANCE = 1e-8
"""The largest relative difference at which federated and pooled count as equal."""


class Estimate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One coefficient of the model: a log odds ratio with its standard error."""

    term: str
    coefficient: float
    standard_error: float

    @property
    def odds_ratio(self) -> float:
        """The factor by which the term changes the odds."""
        return math.exp(self.coefficient)


class Cell(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One cell of the outcome table: how many patients of an arm had an outcome."""

    rx: str
    outcome: str
    n: int


class Pooled(msgspec.Struct, frozen=True):
    """The pooled analyses: the model's estimates in its order, patients, log-likelihood."""

    estimates: tuple[Estimate, ...]
    n: int
    log_likelihood: float


def pooled_table(trial: pd.DataFrame, hospitals: Iterable[str]) -> tuple[Cell, ...]:
    """Count the patients of some hospitals by treatment and outcome."""
    patients = patients_of(trial, hospitals)
    return tuple(
        Cell(rx, outcome, int(((patients["rx"] == rx) & (patients["outcome"] == outcome)).sum()))
        for rx in ("placebo", "indomethacin")
        for outcome in ("no", "yes")
    )


def whole_tables(trial: pd.DataFrame, hospitals: Iterable[str], min_group: int) -> tuple[str, ...]:
    """Name the hospitals in whose own tables no cell is small."""
    return tuple(
        hospital
        for hospital in hospitals
        if not any(0 < cell.n < min_group for cell in pooled_table(trial, [hospital]))
    )


def pooled_fit(trial: pd.DataFrame, hospitals: Iterable[str]) -> Pooled:
    """Fit the model of the train ``logistic`` with statsmodels to the patients of some hospitals."""
    import pandas as pd
    from statsmodels.discrete.discrete_model import Logit

    patients = patients_of(trial, hospitals)
    terms = pd.DataFrame(
        {
            "intercept": 1.0,
            "indomethacin": patients["rx"] == "indomethacin",
            "age_10_years": (patients["age"] - 45) / 10,
            "female": patients["gender"] == "female",
            "sod": patients["sod"] == "yes",
            "pep": patients["pep"] == "yes",
            "difcan": patients["difcan"] == "yes",
        },
        index=patients.index,
    ).astype(float)
    model = Logit((patients["outcome"] == "yes").astype(float), terms)
    fit = model.fit(method="newton", maxiter=100, tol=1e-14, disp=False)
    estimates = tuple(
        Estimate(str(term), float(fit.params[term]), float(fit.bse[term])) for term in terms
    )
    return Pooled(estimates, len(patients), float(fit.llf))


def largest_difference(federated: Iterable[Estimate], pooled: Iterable[Estimate]) -> float:
    """Return the largest relative difference of any coefficient or standard error.

    Raises:
        ValueError: They are not estimates of the same terms.
    """
    ours, theirs = _by_term(federated), _by_term(pooled)
    if ours.keys() != theirs.keys() or not ours:
        raise ValueError("federated and pooled estimates are of different terms")
    differences = [
        abs(a - b) / abs(b) for term in ours for a, b in zip(ours[term], theirs[term], strict=True)
    ]
    # max() would overlook what is no number.
    return math.nan if any(map(math.isnan, differences)) else max(differences)


def _by_term(estimates: Iterable[Estimate]) -> Mapping[str, tuple[float, float]]:
    return {each.term: (each.coefficient, each.standard_error) for each in estimates}
