"""Logistic regression by Newton's method: each round, exact sums and one step.

The log-likelihood and its derivatives are sums over patients, so the sums of the hospitals' sums
are those of the pooled data, and so is the maximum they lead to.
"""

import math
from typing import Any

import numpy as np

TERMS = ["intercept", "indomethacin", "age_10_years", "female", "sod", "pep", "difcan"]


def station(
    data: dict[str, Any], state: dict[str, Any] | None, parameters: dict[str, Any]
) -> dict[str, Any]:
    """Give the log-likelihood and its derivatives at the present coefficients."""
    patients = {name: np.array(data["patients"][name]) for name in data["patients"].column_names}
    x = design(patients)
    y = (patients["outcome"] == "yes").astype(float)
    linear = x @ (np.zeros(len(TERMS)) if state is None else state["coefficients"])
    chance = 1 / (1 + np.exp(-linear))
    information = x.T @ (x * (chance * (1 - chance))[:, None])
    return {
        "n": len(y),
        "log_likelihood": float(y @ linear - np.logaddexp(0, linear).sum()),
        "gradient": x.T @ (y - chance),
        "information": (information + information.T) / 2,  # symmetric to the last bit
    }


def combine(
    updates: list[dict[str, Any]], state: dict[str, Any] | None, parameters: dict[str, Any]
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Take one Newton step; finish when it is too small to matter."""
    last = state or {"coefficients": np.zeros(len(TERMS)), "rounds": 0}
    rounds = last["rounds"] + 1
    information = total(updates, "information")
    step = np.linalg.solve(information, total(updates, "gradient"))
    coefficients = last["coefficients"] + step
    if np.abs(step).max() > parameters["tolerance"]:
        return {"coefficients": coefficients, "rounds": rounds}, None
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    return None, {
        "estimates": {
            "term": TERMS,
            "coefficient": coefficients.tolist(),
            "standard_error": errors.tolist(),
            "odds_ratio": np.exp(coefficients).tolist(),
        },
        "n": sum(update["n"] for update in updates),
        "log_likelihood": float(total(updates, "log_likelihood")),
        "rounds": rounds,
        "hospitals": len(updates),
    }


def design(patients: dict[str, Any]) -> Any:
    """Return one row per patient and one column per term."""
    terms = [
        np.ones(len(patients["age"])),
        patients["rx"] == "indomethacin",
        (patients["age"] - 45) / 10,
        patients["gender"] == "female",
        *(patients[name] == "yes" for name in ("sod", "pep", "difcan")),
    ]
    return np.column_stack(terms).astype(float)


def total(updates: list[dict[str, Any]], name: str) -> Any:
    """Add up over hospitals, rounding once: their order changes nothing."""
    return np.vectorize(lambda *parts: math.fsum(parts))(*(update[name] for update in updates))
