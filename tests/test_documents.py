"""The documents: their links lead somewhere, their commands are understood, their tables name what there is."""

from __future__ import annotations

import pkgutil
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import potstill
from potstill.cli.main import COMMANDS, main
from potstill.distillation.settings import Settings
from potstill.methods import METHODS, find_method
from potstill.methods.coresets import CORESETS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path for pattern in ("*.md", "docs/*.md", "records/**/*.md") for path in ROOT.glob(pattern) if path.is_file()
)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(path: Path) -> set[str]:
    """What the headings of a document can be linked by, as GitHub makes it of them."""
    headings = re.findall(r"(?m)^#+ (.+)$", path.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def blocks(path: Path) -> list[str]:
    """The shell commands of a document: what stands between fences that name no language."""
    fenced = re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", path.read_text(encoding="utf-8"))
    return [block for language, block in fenced if not language]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(path: Path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def test_every_record_is_linked():
    # The leaderboard names every folder, and says of none what it is.
    written = [path for path in DOCUMENTS if path.parent == ROOT / "records" and path.name != "leaderboard.md"]
    pages = "".join(path.read_text(encoding="utf-8") for path in written)
    for path in (ROOT / "records").iterdir():
        linked = path.suffix == ".md" or path.name in pages
        assert linked, f"{path.name} is on record, and no page says what it is"


SHELL = r"""
potstill() { printf '%s\0' "$@"; printf '\n\0'; }
python() { :; }
make() { :; }
cmp() { :; }
dask() { :; }
pip() { :; }
.() { :; }
"""


def commands(path: Path) -> Iterator[list[str]]:
    """The words of every call of potstill in a document's commands, its loops and variables resolved by a shell."""
    for block in blocks(path):
        if re.search(r"(?m)^\s*potstill ", block):
            done = subprocess.run(["bash", "-eu", "-c", SHELL + block], capture_output=True, text=True, check=True)
            calls = done.stdout.split("\0\n\0")
            assert calls.pop() == ""
            yield from (call.split("\0") for call in calls)


WITH_COMMANDS = [path for path in DOCUMENTS if any("potstill " in block for block in blocks(path))]


class Understood(Exception):
    """The command line was read; what it asks for is not done here."""


@pytest.mark.parametrize("path", WITH_COMMANDS, ids=name_of)
def test_commands_are_understood(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT / "docs" / "examples")
    given = list(commands(path))
    assert given
    for name in {command.function.partition(":")[0] for command in COMMANDS.values()}:
        module = import_module(f"potstill.cli.{name}")
        monkeypatch.setattr(module, "parse", read_and_no_more(module.parse))
    for words in given:
        prepare_run(words)
        with pytest.raises(Understood):
            assert main(words) == 0, f"{shlex.join(words)}: {capsys.readouterr().err}"


def read_and_no_more(parse: Any) -> Any:
    def read(*words: Any, **options: Any) -> None:
        parse(*words, **options)
        raise Understood

    return read


def prepare_run(words: list[str]) -> None:
    """The settings of a run that a command goes on with, or repeats."""
    if words[:2] == ["distill", "auto"] or words[0] != "distill":
        return
    method = METHODS["dm"] if words[1].startswith("-") else find_method(words[1])
    if "--config" in words:
        path = Path(words[words.index("--config") + 1])
    elif "--resume" in words:
        path = Path(words[words.index("--out") + 1]) / "config.toml"
    else:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(Settings(method=method(), dataset="mnist").to_toml(), encoding="utf-8")


API = (ROOT / "docs/python-api.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\bpotstill(?:\.\w+)+", API))))
def test_the_names_in_the_python_api_can_be_imported(name: str):
    assert pkgutil.resolve_name(name) is not None


def test_the_table_of_the_python_api_names_what_potstill_has():
    table = API[API.index("| name | purpose |") : API.index("| function | command |")]
    cells = re.findall(r"(?m)^\| (`.*?) \|", table)
    named = {name for cell in cells for name in re.findall(r"`(\w+)", cell)}
    assert named <= set(dir(potstill))
    assert set(vars(potstill)["__all__"]) <= named


def section(path: Path, heading: str) -> str:
    """The part of a document under a heading, to the next of its level."""
    text = path.read_text(encoding="utf-8")
    found = re.search(rf"(?ms)^## {re.escape(heading)}.*?(?=^## |\Z)", text)
    assert found, f"{path} has no section {heading}"
    return found[0]


SHARED = {"--device", "--precision", "--compile", "--data-root"}
HELP = {name: name for name in ("inspect", "evaluate", "compare", "search", "reproduce", "experts", "export")} | {
    "distill": "distill dm"
}


@pytest.mark.parametrize("command", HELP)
def test_the_documents_name_the_options_that_there_are(command: str, capsys: Any):
    with pytest.raises(SystemExit):
        main([*HELP[command].split(), "--help"])
    there = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help"}
    there -= {f"--no-{name[2:]}" for name in there}
    if command == "distill":
        there -= {f"--{each.name.replace('_', '-')}" for each in fields(METHODS["dm"])}
    told = section(ROOT / "docs/command-line.md", f"potstill {command}")
    named = {re.sub("^--no-", "--", name) for name in re.findall(r"[` ](--[a-z-]+)", told)}
    elsewhere = SHARED if "as for `distill`" in told else set[str]()
    assert there - elsewhere <= named, f"{there - elsewhere - named} are not in the document"
    rows = re.findall(r"(?m)^\| (`--.*?) \|", told)
    listed = {re.sub("^--no-", "--", name) for row in rows for name in re.findall(r"`(--[a-z-]+)", row)}
    assert listed <= there, f"{listed - there} are only in the document"


BUILT_ON = {"datm": "mtt", "pad": "datm", "atom": "datadam", "ncfm": "dance"}
"""Methods whose sections list what they have beside another's."""


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name] not in CORESETS])
def test_the_documents_name_the_settings_of_a_method_and_their_defaults(name: str):
    told = section(ROOT / "docs/methods.md", name)
    if match := re.search(r"[Ss]ettings are those of\s+`(\w+)`", told):
        assert names(METHODS[name]) == names(METHODS[match[1]])
        return
    listed: dict[str, str] = {}
    for settings, defaults in re.findall(r"(?m)^\| (`.*?) \| (.*?) \|", told):
        several = re.findall(r"`(\w+)`", settings)
        cells = re.split(r",\s", defaults)
        listed |= zip(several, cells * len(several) if len(cells) == 1 else cells, strict=True)
    base = names(METHODS[BUILT_ON[name]]) if name in BUILT_ON else {}
    own = {setting: default for setting, default in names(METHODS[name]).items() if setting not in base}
    assert sorted(listed) == sorted(own)
    for setting, default in own.items():
        assert meant(listed[setting]) == (default or None), setting


def names(method: type) -> dict[str, Any]:
    """The settings, each with its default, or with the published value that an open default stands for."""
    return {each.name: getattr(method, f"published_{each.name}", each.default) for each in fields(method)}


def meant(cell: str) -> Any:
    """The value that a cell of a table stands for; None for words."""
    if cell in ("on", "off"):
        return cell == "on" or None
    if match := re.fullmatch(r"`(\w+)`", cell):
        return match[1]
    number = cell.replace(",", "")
    return (float(number) or None) if re.fullmatch(r"[\d.]+", number) else None
