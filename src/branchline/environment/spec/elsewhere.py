"""Where conda's packages are had from PyPI or Debian: a recorded table, used only with consent.

The table is short on purpose. A name stands in it only if the same project publishes wheels (or
Debian packages it) that can stand in for conda's package; a version is carried over or nothing is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from branchline.environment.spec.conda import MatchSpec
from branchline.environment.spec.debian import PACKAGE
from branchline.environment.spec.pep508 import NoRequirement, read_requirement

_SAME = """
altair arviz astropy beautifulsoup4 biopython bokeh boto3 cartopy click cvxpy cython dash dask
fastapi flask folium gensim geopandas h5py httpx imageio ipykernel ipyleaflet ipympl ipython
ipywidgets jinja2 joblib jsonschema jupyter jupyter-server jupyterlab jupytext keras lifelines
lightgbm lxml matplotlib mne mypy nbconvert nbformat netcdf4 networkx nibabel nilearn nltk
notebook numba numpy openpyxl pandas patsy pillow pingouin plotly polars psutil pyarrow pydantic
pydicom pymc pyproj pytest python-dateutil pytz pyyaml requests rpy2 scikit-image scikit-learn
scikit-survival scipy seaborn shap shapely simpleitk simpy six spacy sqlalchemy statsmodels
streamlit sympy tabulate tensorflow tqdm traitlets transformers voila xarray xgboost xlrd
xlsxwriter zarr
"""
SAME_ON_PYPI = frozenset(_SAME.split())
"""Names that mean the same project on PyPI."""

OTHER_ON_PYPI = {
    "dask-core": "dask",
    "matplotlib-base": "matplotlib",
    "opencv": "opencv-python-headless",
    "py-xgboost": "xgboost",
    "pytables": "tables",
    "pytorch": "torch",
    "seaborn-base": "seaborn",
}
"""Names that PyPI has otherwise."""

ON_DEBIAN = {
    "cmake": "cmake",
    "curl": "curl",
    "ffmpeg": "ffmpeg",
    "git": "git",
    "graphviz": "graphviz",
    "make": "make",
    "nodejs": "nodejs",
    "pandoc": "pandoc",
    "r-base": "r-base-core",
    "wget": "wget",
}
"""Programs that Debian packages; their version is that of its suite."""

_RELEASE = r"[0-9]+(?:\.[0-9]+)*(?:(?:a|b|rc|\.post|\.dev)[0-9]+)?"
_BOUND = re.compile(rf"(>=|<=|~=|!=|<|>)({_RELEASE})")


def elsewhere(specs: Iterable[MatchSpec]) -> tuple[list[str], list[str], list[str]]:
    """Return requirements of PyPI and packages of Debian for match specs, and who has neither."""
    python, debian, nowhere = [], [], []
    for spec in specs:
        if requirement := on_pypi(spec):
            python.append(requirement)
        elif package := on_debian(spec.name):
            debian.append(package)
        else:
            nowhere.append(spec.name)
    return python, debian, nowhere


def on_debian(name: str) -> str:
    """Return Debian's package for conda's; empty where there is none."""
    if name.startswith("r-") and PACKAGE.fullmatch(name) and name != "r-base":
        return f"r-cran-{name.removeprefix('r-')}"
    return ON_DEBIAN.get(name, "")


@lru_cache(maxsize=1 << 14)
def on_pypi(spec: MatchSpec) -> str:
    """Return the requirement for a match spec; empty where there is none."""
    name = pypi_name(spec.name)
    version = _version(spec.version) if name and "[" not in spec.text else None
    if version is None:
        return ""
    try:
        return read_requirement(name + version)[0]
    except NoRequirement:
        return ""


def pypi_name(name: str) -> str:
    """Return what PyPI calls a conda package; empty where the table does not know it."""
    name = name.replace("_", "-")
    return name if name in SAME_ON_PYPI else OTHER_ON_PYPI.get(name, "")


def _version(text: str) -> str | None:
    """Turn conda's version into Python's specifiers; None where that is not surely the same."""
    if not text or text == "*":
        return ""
    bare = text.replace(" ", "") if text[0] in "<>!~" else text
    parts = bare.split(",")
    if all(_BOUND.fullmatch(part) for part in parts):
        return bare
    # "=1.2" is fuzzy; "==1.2", "1.2", and any version with a build behind it are exact.
    exact = re.fullmatch(
        rf"(?:=?=?\s*({_RELEASE})[=\s][\w*.]+|==\s*({_RELEASE})|({_RELEASE}))", text
    )
    if exact:
        return f"=={exact[1] or exact[2] or exact[3]}"
    fuzzy = re.fullmatch(r"=?=?\s*([0-9]+(?:\.[0-9]+)*)\.\*|=\s*([0-9]+(?:\.[0-9]+)*)", text)
    return f"=={fuzzy[1] or fuzzy[2]}.*" if fuzzy else None
