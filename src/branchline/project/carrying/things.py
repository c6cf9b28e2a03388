"""The things a crate's actions speak of: files that are in it, and what is only named."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from hashlib import sha256
from urllib.parse import quote

from branchline.foundation.crates import RUN_TERMS, Entity, ref
from branchline.foundation.digest import digest_of
from branchline.project.activity.record import Detail
from branchline.project.carrying.form import Content
from branchline.project.git.keys import digest_of_key

_SHOWN = 16


def mark(*texts: str) -> str:
    """Return a short name that follows from texts."""
    return sha256("\n".join(texts).encode(errors="replace")).hexdigest()[:_SHOWN]


def program(id: str, name: str, version: str) -> Entity:
    """Describe what ran and is no file of the crate; RO-Crate asks for an address: a name serves.

    Args:
        id: Its name within the crate.
        name: For people.
        version: Which one: the name of its content, or where it ran.
    """
    return {
        "@id": id,
        "@type": "SoftwareApplication",
        "name": name,
        "version": version,
        "url": f"urn:branchline:content:{quote(version, safe=':')}",
    }


class Things:
    """Gives every content one entity: its file in the crate, or one that only names it.

    Args:
        files: What is below ``files``, by path.
        contents: What the crate holds of git-annex's contents.
    """

    def __init__(self, files: Mapping[str, Content], contents: Iterable[Content]) -> None:
        self._files = files
        self._by_name = {each.key: each.file for _, each in sorted(files.items(), reverse=True)}
        self._by_name |= {digest_of_key(each.key) or each.key: each.file for each in contents}
        self.named: dict[str, Entity] = {}
        self.media: dict[str, str] = {}
        self.code: dict[str, str] = {}

    def file(self, path: str, name: str, size: int | None = None) -> Entity:
        """Point to what was at a path.

        Args:
            path: Where.
            name: The content's name, as records have it.
            size: Its bytes, if they are known.
        """
        place = self._place(path, name)
        if place is not None:
            return ref(quote(place))
        more = {} if size is None else {"contentSize": str(size)}
        return self._name("content", path, name, {"@type": "CreativeWork", **more})

    def script(self, path: str, name: str) -> Entity:
        """Point to a file that was run."""
        place = self._place(path, name)
        if place is not None:
            self.code[place] = name
            return ref(quote(place))
        return self.add(program(f"#code-{mark(path, name)}", path, name))

    def part(self, record: str, number: int, detail: Detail) -> Entity:
        """Point to what a record holds, or names, of something that was put out.

        Args:
            record: The record's digest.
            number: Which of its details it is.
            detail: The detail.
        """
        media = detail.media or "text/plain"
        if detail.digest is not None:
            place = self._by_name.get(detail.digest)
            if place is not None:
                self.media.setdefault(place, media)
                return ref(quote(place))
            more = {"@type": "CreativeWork", "encodingFormat": media}
            return self._name("content", detail.kind, detail.digest, more)
        text = detail.value if isinstance(detail.value, str) else ""
        return self.add(
            {
                "@id": f"#part-{record[7 : 7 + _SHOWN]}-{number}",
                "@type": "CreativeWork",
                "name": detail.kind,
                "encodingFormat": media,
                "text": text,
                "identifier": digest_of(text.encode(errors="replace")),
            }
        )

    def tool(self, name: str, where: str) -> Entity:
        """Point to a program: which version of it ran, follows from where it ran."""
        shown = posixpath.basename(name) or name
        made = program(f"#program-{mark(name, where)}", shown, where or "not on record")
        return self.add(made | {"url": f"urn:branchline:program:{quote(shown)}"})

    def image(self, digest: str) -> Entity:
        """Point to an environment's image."""
        return self.add(
            {
                "@id": f"#image-{mark(digest)}",
                "@type": ["ContainerImage", "CreativeWork"],
                "additionalType": ref(f"{RUN_TERMS}DockerImage"),
                "name": "The environment's image (branchline.lock names it)",
                "identifier": digest,
            }
        )

    def add(self, entity: Entity) -> Entity:
        """Describe something, once, and point to it."""
        self.named.setdefault(entity["@id"], entity)
        return ref(entity["@id"])

    def _place(self, path: str, name: str) -> str | None:
        here = self._files.get(path)
        return here.file if here is not None and here.key == name else self._by_name.get(name)

    def _name(self, kind: str, path: str, name: str, more: Entity) -> Entity:
        at = f"#{kind}-{mark(path, name)}"
        return self.add({"@id": at, "name": path, "identifier": name, **more})
