"""Make, find and verify a project's data lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from branchline.foundation.clock import Clock, SystemClock, rfc3339
from branchline.foundation.durable import make_folder, write_durably
from branchline.foundation.errors import Conflict, Corrupt, NotFound
from branchline.foundation.ids import check_name
from branchline.foundation.keys import Identity
from branchline.project.activity.files import Recorder
from branchline.project.activity.record import Detail, Signed
from branchline.project.adding import add
from branchline.project.data.contents import laid_out, verdict
from branchline.project.data.lists import (
    FOLDER,
    DataList,
    Item,
    TableFacts,
    chain_problem,
    parse_path,
    parse_reference,
    read_list,
)
from branchline.project.data.overlapping import overlap, row_keys
from branchline.project.data.tables import KINDS, facts_of
from branchline.project.git.command import Git
from branchline.project.git.intake import Progress
from branchline.project.git.keys import key_in_link, key_in_pointer, size_of_key
from branchline.project.git.objects import read_objects
from branchline.project.names import shown
from branchline.project.place import Project, check_inside
from branchline.project.saving import commit_record, content_tree, save


@dataclass(frozen=True)
class Wish:
    """What a new version is to be.

    Args:
        name: The list's name.
        paths: Files and folders of the project.
        row_key: The column that says whom a row is about.
        apart: Lists that it may not overlap with, as people name them.
        about: One line for people.
    """

    name: str
    paths: Sequence[str]
    row_key: str = ""
    apart: Sequence[str] = ()
    about: str = ""


@dataclass
class Verified:
    """What verification of one list found.

    Args:
        list: The version.
        verdicts: For each path: whole, changed, absent or unverified.
        problem: What is wrong with the list itself; empty if nothing is.
    """

    list: DataList
    verdicts: dict[str, str] = field(default_factory=dict)
    problem: str = ""

    @property
    def good(self) -> bool:
        """Whether nothing is known to be wrong."""
        return not self.problem and "changed" not in self.verdicts.values()


def every_list(project: Project) -> dict[str, list[DataList]]:
    """Return all versions of all lists that are saved, by name, in order.

    Raises:
        Corrupt: One was changed since it was made, or two have one number.
    """
    lines = project.git.lines("ls-files", "-s", "-z", "--", FOLDER)
    paths = {line.partition("\t")[2]: line.split()[1] for line in lines}
    known = [path for path in paths if parse_path(path)]
    asked = "".join(f"{paths[path]}\n" for path in known).encode()
    found: dict[str, list[DataList]] = {}
    for path, text in zip(known, read_objects(project.git, asked, len(known)), strict=True):
        each = read_list(text, path)
        if each.project != project.described.id:
            raise Corrupt(f"The list {path} is another project's")
        found.setdefault(each.name, []).append(each)
    for name, versions in found.items():
        versions.sort(key=lambda each: each.number)
        numbers = [each.number for each in versions]
        if len(set(numbers)) != len(numbers):
            raise Corrupt(
                f"The list {name} has two versions of one number: two clones made one each",
                advice="Remove the file of one of them, and make it anew",
            )
    return found


def find_list(project: Project, reference: str) -> DataList:
    """Return the version that a person means; the latest where he gives no number.

    Raises:
        NotFound: There is none.
    """
    name, number = parse_reference(reference)
    versions = every_list(project).get(name, [])
    for each in reversed(versions):
        if number is None or each.number == number:
            return each
    raise NotFound(f"There is no list {reference!r}", advice="See 'branchline data list'")


def make_list(
    project: Project,
    identity: Identity,
    wish: Wish,
    progress: Progress,
    clock: Clock = SystemClock(),  # noqa: B008
) -> tuple[DataList, Signed]:
    """Make a new version of a list, from what is saved, and put it on record.

    Args:
        project: The project, held by its lock.
        identity: Whose keys sign.
        wish: What it is to be.
        progress: Told what is done.
        clock: The time.

    Raises:
        Conflict: The latest version says the same; or it overlaps with one it may not.
        NotFound: Nothing is saved at a path, or a content that has to be read is not in this clone.
        Refused: The name is none, or the row key is no column.
    """
    check_name(wish.name, "list")
    save(project, identity, progress, message="As it was before a list was made")
    items = items_at(project, wish.paths)
    versions = every_list(project).get(wish.name, [])
    others = [find_list(project, each) for each in wish.apart]
    progress("reading tables")
    made = DataList(
        project=project.described.id,
        name=wish.name,
        number=len(versions) + 1,
        previous=versions[-1].digest if versions else None,
        at=rfc3339(clock.now()),
        items=tuple(items),
        tables=tuple(_tables(project, items, progress)),
        about=wish.about,
        row_key=wish.row_key,
        apart={each.name: each.digest for each in others},
    )
    if versions and _says(versions[-1]) == _says(made):
        raise Conflict(f"{versions[-1].reference} says the same", advice="Use that one")
    for other in others:
        progress(f"comparing with {other.reference}")
        found = overlap(project, made, other)
        if found.any:
            raise Conflict(found.sentence, advice="Take out of one what is in the other")
    if wish.row_key and not others:
        row_keys(project, made)
    file = check_inside(project.root, made.path)
    make_folder(file.parent, 0o755)
    write_durably(file, made.text)
    add(project, [made.path], progress)
    record = {
        "type": "data",
        "action": "list",
        "message": f"The list {made.reference}: {len(items)} files"
        + f". {wish.about}" * bool(wish.about),
        "commit": project.git.head(),
        "tree": content_tree(project),
        "branch": project.git.branch(),
    }
    detail = Detail("lists", [made.named()])
    return made, commit_record(project, Recorder(project, identity, clock), record, [detail])


def items_at(project: Project, paths: Sequence[str]) -> list[Item]:
    """Return what is saved at and below paths, with the names of the contents.

    Raises:
        NotFound: Nothing is saved at one of them.
    """
    found: dict[str, tuple[str, str]] = {}
    for line in project.git.lines("ls-files", "-s", "-z", "--", *paths) if paths else []:
        meta, _, path = line.partition("\t")
        found[path] = (meta.split()[0], meta.split()[1])
    for path in paths:
        if path not in found and not any(each.startswith(f"{path}/") for each in found):
            raise NotFound(f"There is nothing saved at {shown(path)}", advice="Check the name")
    return items_of(project.git, found)


def items_of(git: Git, found: Mapping[str, tuple[str, str]]) -> list[Item]:
    """Return the names of contents, for files as git has them: mode and content by path."""
    blobs = [blob for _, blob in found.values()]
    asked = "".join(f"{blob}\n" for blob in blobs).encode()
    contents = read_objects(git, asked, len(blobs)) if blobs else []
    items = []
    for (path, (mode, blob)), content in zip(found.items(), contents, strict=True):
        link = key_in_link(content.decode(errors="replace")) if mode == "120000" else None
        key = link or (key_in_pointer(content) if mode.startswith("100") else None)
        if key is not None:
            items.append(Item(path, key, size_of_key(key)))
        elif mode.startswith("100"):
            items.append(Item(path, f"git:{blob}", len(content)))
    return sorted(items, key=lambda item: item.path)


def verify_list(project: Project, each: DataList, versions: Sequence[DataList]) -> Verified:
    """Hold every content of a list that is here against its name, and the list against those before."""
    found = Verified(each, problem=chain_problem(versions) or "")
    for item in each.items:
        found.verdicts[item.path] = verdict(project, item)
    return found


def in_use(project: Project, references: Sequence[str]) -> list[DataList]:
    """Return the lists that something uses, once the project has just what they name.

    Raises:
        NotFound: There is no such list.
        Conflict: A file of it is another one in the project now.
    """
    found = [find_list(project, each) for each in dict.fromkeys(references)]
    for each in found:
        paths = [item.path for item in each.items]
        now = {i.path: i.content for i in items_at(project, _tracked(project, paths))}
        for item in each.items:
            if now.get(item.path) != item.content:
                word = (
                    "is another one now" if item.path in now else "is not in the project any more"
                )
                raise Conflict(
                    f"{each.reference} names {shown(item.path)}, which {word}",
                    advice=f"Make a new version with 'branchline data list new {each.name}', or name "
                    "the one that fits",
                )
    return found


def _tracked(project: Project, paths: Sequence[str]) -> list[str]:
    known = set(project.git.lines("ls-files", "-z", "--", *paths)) if paths else set()
    return [path for path in paths if path in known]


def _tables(project: Project, items: Sequence[Item], progress: Progress) -> list[TableFacts]:
    wanted = [item for item in items if item.path.lower().endswith(KINDS)]
    told = []
    with laid_out(project, wanted) as files:
        for item in wanted:
            progress(f"reading {item.path}")
            closed = project.rules.rule_for(item.path).closed
            told.append(facts_of(files[item.path], item.path, coarse=closed))
    return told


def _says(each: DataList) -> tuple[object, ...]:
    return each.items, each.tables, each.row_key, each.about, each.apart
