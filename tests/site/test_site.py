"""The site: every page is in its contents, every link leads somewhere, and it shows what the records say."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

import potstill
from potstill.report import wording
from potstill.report.leaderboard import cells_of, collected
from potstill.runtime.lazy import public_names
from potstill.schema.manifest import Manifest
from potstill.schema.shapes import is_vector
from tests.site.pages import leads_nowhere, read_page

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path.relative_to(ROOT)
    for pattern in ("docs/*.md", "docs/api/*.md", "docs/notebooks/*.ipynb", "records/*.md", "CHANGELOG.md")
    for path in ROOT.glob(pattern)
)
NOTEBOOKS = [path for path in SOURCES if path.suffix == ".ipynb"]
SETS = sorted(file.parent.relative_to(ROOT) for file in ROOT.glob("records/**/synthetic.safetensors"))


def text_of(page: Path | str) -> str:
    """The text of a page, or of some HTML, in one line without its markup."""
    markup = page if isinstance(page, str) else page.read_text(encoding="utf-8")
    return " ".join(re.sub(r"<[^>]+>", "", markup).split())


def test_every_page_is_in_the_contents(site: Path):
    home = site / "docs" / "index.html"
    linked = {(home.parent / link.partition("#")[0]).resolve() for link in read_page(home).links}
    for source in SOURCES:
        page = site / source.with_suffix(".html")
        assert page.is_file()
        assert source == Path("docs/index.md") or page in linked, f"{source} is not in the contents"


def test_all_links_lead_somewhere_and_nothing_is_loaded_from_elsewhere(site: Path):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > len(SOURCES)
    for path in pages:
        page = read_page(path)
        assert [link for link in page.links + page.loaded if leads_nowhere(path, link)] == [], path
        assert [address for address in page.loaded if "//" in address] == [], path
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)[\s\"']*(https?:)?//", style.read_text(encoding="utf-8")), style


def test_the_front_page_leads_to_the_documents(site: Path):
    assert 'url=docs/index.html"' in (site / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_were_executed_without_an_error(notebook: Path, site: Path):
    page = (site / notebook.with_suffix(".html")).read_text(encoding="utf-8")
    assert page.count('class="cell_output') >= 4
    assert page.count("_images/") >= 1
    assert "Traceback" not in page
    assert "output stderr" not in page


def test_the_gallery_shows_every_set_with_its_picture_and_what_it_is_worth(site: Path):
    rows = collected([ROOT / "records"])
    sections = (site / "docs" / "gallery.html").read_text(encoding="utf-8").split("<section")
    assert len(SETS) > 20
    for folder in SETS:
        (shown,) = (each for each in sections if f'href="../{folder}/synthetic.safetensors"' in each)
        manifest = Manifest.read(ROOT / folder / "manifest.json")
        pictured = f'/{str(folder).replace("/", "-")}.png"' in shown
        assert pictured != is_vector(manifest.dataset.shape)
        told = [wording.size(manifest.set_bytes)]
        judged = [row for row in rows if row.of.folder == ROOT / folder]
        _, cells = cells_of(judged, ("accuracy, %", "95 % interval", "random {held}, %"))
        told += [words for row in cells for words in row]
        for words in told:
            assert " ".join(words.split()) in text_of(shown), folder


def test_records_can_be_taken_from_the_site_as_they_are(site: Path):
    for folder in SETS:
        file = folder / "synthetic.safetensors"
        assert (site / file).read_bytes() == (ROOT / file).read_bytes()
        assert str(file.relative_to("records")) in read_page(site / "records" / "files.html").links


def test_the_leaderboard_is_a_page_of_the_site(site: Path):
    assert "furo" in (site / "records" / "leaderboard.html").read_text(encoding="utf-8")


PACKAGES = ("potstill", "potstill.data", "potstill.evaluation", "potstill.applications", "potstill.testing")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_described_once_from_its_docstring(package: str, site: Path):
    described = [name for page in (site / "docs" / "api").glob("*.html") for name in read_page(page).names]
    top = {id(getattr(potstill, name)): name for name in public_names("potstill")}
    for name in public_names(package):
        known = top.get(id(getattr(import_module(package), name)))
        place = f"{package}.{name}" if known is None else f"potstill.{known}"
        assert described.count(place) == 1, place


def test_the_reference_has_arguments_and_errors(site: Path):
    page = text_of(site / "docs" / "api" / "potstill.html")
    assert "the least number of trainings of each network" in page
    assert re.search(r"Raises.{0,40}UserError", page)


def test_what_is_named_by_its_module_leads_to_its_description(site: Path):
    page = read_page(site / "docs" / "api" / "potstill.html")
    assert "#potstill.SyntheticSet" in page.links
    assert any(link.endswith("data.html#potstill.data.ImageDataset") for link in page.links)
