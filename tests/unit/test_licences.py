"""Licences of all packages that dashscribe needs, by what they say of themselves, are ones that we accept."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

#: By a pattern over what a package states. Weak copyleft is all right for libraries that are only imported: soxr (LGPL,
#: a shared library of its own) and certifi (MPL, data).
ALLOWED = re.compile(
    r"apache|\bMIT\b|\bMIT-0\b|bsd|\bISC\b|\bISCL\b|\b0BSD\b|zlib|python software foundation|\bPSF\b|cnri|public.domain"
    r"|CC0|unlicense|LGPL-2\.1-or-later|mozilla public license 2|MPL-2\.0|^$",
    re.IGNORECASE,
)
#: What says more than the pattern should let through, with the reason.
KNOWN = {"fastcluster": "BSD-2-Clause for Python; its R interface is GPL and is not in the wheel"}
REFUSED = re.compile(
    r"(?<!L)GPL(?!.*-or-later$)|affero|AGPL|SSPL|commons clause|non.?commercial|proprietary", re.IGNORECASE
)


def needed(name: str, found: dict[str, Distribution] | None = None) -> dict[str, Distribution]:
    """The packages that an installation without extras brings along, by name."""
    found = {} if found is None else found
    key = canonicalize_name(name)
    if key in found:
        return found
    try:
        found[key] = distribution(name)
    except PackageNotFoundError:  # for another platform
        return found
    for line in found[key].requires or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            needed(requirement.name, found)
    return found


def stated(package: Distribution) -> list[str]:
    """What a package says of its licence: an SPDX expression, else classifiers, else the first line of a text."""
    about = package.metadata
    if expression := about.get("License-Expression"):
        return re.split(r"\s+(?:AND|and)\s+", expression)
    classifiers = [
        line.rpartition(" :: ")[2] for line in about.get_all("Classifier") or [] if line.startswith("License")
    ]
    return classifiers or [(about.get("License") or "").strip().partition("\n")[0]]


PACKAGES = needed("dashscribe")


def test_all_that_is_needed_is_looked_at() -> None:
    assert {"av", "numpy", "fastapi", "starlette", "certifi", "sherpa-onnx"} <= set(PACKAGES)


@pytest.mark.parametrize("name", sorted(set(PACKAGES) - {"dashscribe"}))
def test_licence_is_one_of_those_that_we_accept(name: str) -> None:
    licences = stated(PACKAGES[name])
    assert any(licences), f"{name} states no licence"
    if name not in KNOWN:
        assert all(ALLOWED.search(licence) and not REFUSED.search(licence) for licence in licences), licences
