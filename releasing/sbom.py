"""The software bill of materials of a wheel: what is installed with it, by which hashes, under which licences.

    python -m releasing.sbom dist/potstill-*.whl

It is CycloneDX 1.6, in JSON, beside the wheel: the packages that this machine installs, extras included, as the
constraints files pin them. Licences and dependencies are what the installed packages say of themselves. Equal wheels
and pins make equal files.
"""

# pyright: reportCallIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false
# The decorators of the library's classes hide their arguments and attributes from pyright.

from __future__ import annotations

import argparse
import hashlib
import uuid
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from email.parser import HeaderParser
from importlib.metadata import distribution
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, License, LicenseAcknowledgement
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from releasing.pins import Pin, read_pins

LONGEST_LICENCE = 80
"""Characters of a licence's name; some packages give the whole text in its place."""
BUILDS_DIFFER = "no hashes: each build has its own, and a CUDA build brings libraries that are not listed here"


@dataclass
class Package:
    """What one installed package says of itself.

    Attributes:
        metadata: its metadata.
        needs: the names of the packages that it needs here, with the extras that it asks of them.
    """

    metadata: Message
    needs: dict[str, set[str]] = field(default_factory=dict)


def write_sbom(wheel: Path) -> Path:
    """Write the bill of materials of a wheel beside it.

    Args:
        wheel: the wheel; the packages that it needs are installed in this environment.

    Returns:
        The file.

    Raises:
        ValueError: an installed package is not of the pinned version, or what would be written is no valid CycloneDX.
    """
    text = bill_of_materials(wheel)
    invalid = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if invalid is not None:
        raise ValueError(f"no valid CycloneDX: {str(invalid).splitlines()[0]}")
    file = wheel.with_name("-".join(wheel.name.split("-")[:2]) + ".cdx.json")
    file.write_text(text + "\n", encoding="utf-8")
    return file


def bill_of_materials(wheel: Path) -> str:
    """The bill of materials of a wheel, as JSON."""
    content, made, metadata = _opened(wheel)
    pins = read_pins()
    everything = metadata.get_all("Provides-Extra") or []
    required, optional = Package(metadata), Package(metadata)
    packages = _installed(required, (), pins)
    with_extras = _installed(optional, everything, pins)
    root = _component(metadata, ComponentType.LIBRARY)
    root.hashes.add(HashType(alg=HashAlgorithm.SHA_256, content=content))

    components = {
        name: _pinned_component(pins[name], package, name in packages) for name, package in with_extras.items()
    }
    bom = Bom(components=components.values(), metadata=BomMetaData(component=root, timestamp=made))
    bom.metadata.properties.add(Property(name="cdx:reproducible", value="true"))
    bom.register_dependency(root, [components[name] for name in optional.needs if name in components])
    for name, package in with_extras.items():
        bom.register_dependency(components[name], [components[each] for each in package.needs if each in components])
    inputs = [content, *(f"{name}=={pins[name].version}" for name in sorted(components))]
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_OID, " ".join(inputs))
    return JsonV1Dot6(bom).output_as_string(indent=2)


def _opened(wheel: Path) -> tuple[str, datetime, Message]:
    """A wheel's SHA-256, the time that it gives to its files, and its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        (info,) = [each for each in archive.infolist() if each.filename.endswith(".dist-info/METADATA")]
        metadata = HeaderParser().parsestr(archive.read(info).decode("utf-8"))
    return hashlib.sha256(wheel.read_bytes()).hexdigest(), datetime(*info.date_time, tzinfo=UTC), metadata


def _installed(root: Package, extras: Iterable[str], pins: dict[str, Pin]) -> dict[str, Package]:
    """All that a package needs here with some of its extras, directly or not, by name; its ``needs`` are filled in."""
    found: dict[str, Package] = {}
    done: dict[str, set[str]] = {}
    root.needs = _needs(root.metadata, set(extras))
    waiting = list(root.needs.items())
    while waiting:
        name, asked = waiting.pop()
        if name not in pins or (name in found and asked <= done[name]):
            continue  # what comes with a build of PyTorch is not pinned
        if name not in found:
            found[name] = Package(_metadata(pins[name]))
        done[name] = done.get(name, set()) | asked
        found[name].needs = _needs(found[name].metadata, done[name])
        waiting.extend(found[name].needs.items())
    return found


def _metadata(pin: Pin) -> Message:
    """What an installed package says of itself."""
    installed = distribution(pin.name)
    if installed.version.partition("+")[0] != pin.version:
        raise ValueError(f"{pin.name} {installed.version} is installed, and {pin.version} is pinned")
    return HeaderParser().parsestr(installed.read_text("METADATA") or "")


def _needs(metadata: Message, extras: set[str]) -> dict[str, set[str]]:
    """The packages that a package needs here, with the extras that it asks of them."""
    needs: dict[str, set[str]] = {}
    for text in metadata.get_all("Requires-Dist") or []:
        wanted = Requirement(text)
        if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            needs.setdefault(canonicalize_name(wanted.name), set()).update(wanted.extras)
    return needs


def _pinned_component(pin: Pin, package: Package, required: bool) -> Component:
    """A package as a component, with the hashes of its wheels."""
    component = _component(package.metadata, ComponentType.LIBRARY, pin.version)
    component.scope = ComponentScope.REQUIRED if required else ComponentScope.OPTIONAL
    if pin.hashes:
        component.external_references.add(
            ExternalReference(
                type=ExternalReferenceType.DISTRIBUTION,
                url=XsUri(f"https://pypi.org/project/{pin.name}/{pin.version}/#files"),
                comment="the wheels of this version, for all platforms",
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=content) for content in pin.hashes],
            )
        )
    else:
        component.properties.add(Property(name="potstill:hashes", value=BUILDS_DIFFER))
    return component


def _component(metadata: Message, kind: ComponentType, version: str | None = None) -> Component:
    """A package as a component."""
    name, version = canonicalize_name(metadata["Name"]), version or metadata["Version"]
    address = PackageURL(type="pypi", name=name, version=version)
    return Component(
        name=name,
        version=version,
        type=kind,
        bom_ref=str(address),
        purl=address,
        description=metadata["Summary"],
        licenses=list(_licences(metadata)),
    )


def _licences(metadata: Message) -> Iterator[License]:
    """The licences that a package declares: an expression, otherwise its classifiers, otherwise a name."""
    declared = LicenseAcknowledgement.DECLARED
    expression = metadata["License-Expression"]
    if expression:
        yield LicenseFactory().make_from_string(expression, license_acknowledgement=declared)
        return
    classifiers = [each for each in metadata.get_all("Classifier") or [] if each.startswith("License ::")]
    names = [each.rpartition(" :: ")[2] for each in classifiers if each != "License :: OSI Approved"]
    stated = (metadata["License"] or "").strip()
    if not names and 0 < len(stated) <= LONGEST_LICENCE:
        names = [stated]
    for name in names:
        yield DisjunctiveLicense(name=name, acknowledgement=declared)


def main() -> None:
    """Write the bill of materials of the wheel that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m releasing.sbom", description="Write a wheel's bill of materials.")
    parser.add_argument("wheel", type=Path)
    print(write_sbom(parser.parse_args().wheel))


if __name__ == "__main__":
    main()
