"""The client's verbs on hosted projects."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from branchline.environment.service import Progress
from branchline.foundation.digest import Digest
from branchline.foundation.errors import Conflict, NotFound, Refused
from branchline.foundation.ids import check_name, new_id
from branchline.journey import acts, hosting, messages
from branchline.project.cloning import Cloned, Way, clone
from branchline.project.place import Project
from branchline.workbench.core import Core
from branchline.workbench.environment_verbs import silent
from branchline.workbench.home import CentralRef, WorkbenchHome
from branchline.workbench.hub.carrying import send_branches
from branchline.workbench.hub.place import Place, read_place, url_of
from branchline.workbench.hub.remote import HUB, bearing, connect

T = TypeVar("T")


class HubVerbs:
    """Publish, share, copy and delete hosted projects; a part of ``Client``."""

    home: WorkbenchHome

    def hosted_projects(self) -> tuple[hosting.HostedProject, ...]:
        """Return the hosted projects this person may read."""
        return self._run(lambda core: core.hub.projects())

    def hosted_project(self, place: str) -> hosting.HostedProject:
        """Return one hosted project.

        Args:
            place: ``OWNER/NAME``.

        Raises:
            NotFound: There is none, or not for this person.
        """
        at = self._place(place)
        return self._run(lambda core: core.hub.project(at.owner, at.name))

    def publish_project(
        self,
        folder: str | Path,
        *,
        name: str = "",
        visibility: acts.Visibility = "private",
        remote: str = HUB,
        progress: Progress = silent,
    ) -> hosting.HostedProject:
        """Have central host the project that a folder is in; done again, it has no second effect.

        Args:
            folder: A folder in the project.
            name: Its name at the hub; the project's own by default.
            visibility: Who may read it besides its collaborators.
            remote: What git is to call the hub in this clone.
            progress: Told, in a few words, what is done.

        Raises:
            Refused: The name is none for a hosted project.
            Conflict: Another project has it, or git calls something else by that name.
        """
        project = Project.open(Path(folder))
        described = project.described
        name = check_name(name or described.name, "hosted project")
        ref = self._at()
        found = self._published(ref.name, name)
        if found is not None and found.project != described.id:
            raise Conflict(
                f"{found.place} is another project", advice="Choose another name with --name"
            )
        if found is None:
            progress("publishing")
            self._act(
                acts.ProjectPublished,
                hosted=new_id("hosted"),
                project=described.id,
                name=name,
                visibility=visibility,
            )
            found = self.hosted_project(f"{ref.name}/{name}")
        connect(project, remote, ref, found, self.home.folder)
        send_branches(project, remote, self._bearing(found, "write"), progress)
        return self.hosted_project(found.place)

    def clone_project(
        self,
        place: str,
        folder: str | Path | None = None,
        *,
        get: bool = False,
        remote: str = HUB,
        progress: Progress = silent,
    ) -> Cloned:
        """Clone a hosted project into a new folder, once it has been looked through.

        Args:
            place: ``OWNER/NAME``.
            folder: Where it goes; by default a new one of its name.
            get: Whether the data's content is brought, too, as far as rules let it come.
            remote: What git is to call the hub.
            progress: Told, in a few words, what is done.

        Raises:
            NotFound: There is none, or not for this person; or nothing was pushed yet.
            Refused, Conflict: As ``branchline.project.cloning.clone``.
        """
        found, ref = self.hosted_project(place), self._at()
        way = Way(
            remote,
            self._bearing(found, "read"),
            lambda project: connect(project, remote, ref, found, self.home.folder),
        )
        url = url_of(ref, found.owner, found.name)
        bringing = self.home.identity if get else None
        return clone(url, Path(folder or found.name), progress, bringing=bringing, way=way)

    def show_project_to(self, place: str, visibility: acts.Visibility) -> hosting.HostedProject:
        """Say who may read a hosted project besides its collaborators.

        Args:
            place: ``OWNER/NAME``.
            visibility: Nobody, everybody enrolled, or everybody.
        """
        found = self.hosted_project(place)
        if found.visibility != visibility:
            self._act(acts.ProjectShown, hosted=found.hosted, visibility=visibility)
        return self.hosted_project(place)

    def share_project(self, place: str, party: str, role: acts.Role) -> hosting.HostedProject:
        """Make somebody a collaborator, or give one another role.

        Args:
            place: ``OWNER/NAME``.
            party: Who.
            role: What for.

        Raises:
            NotFound: Nobody of that name is enrolled.
            NotAllowed: This person does not own the project.
        """
        found = self.hosted_project(place)
        if hosting.Collaborator(name=party, role=role) not in found.collaborators:
            self._act(acts.ProjectShared, hosted=found.hosted, party=party, role=role)
        return self.hosted_project(place)

    def unshare_project(self, place: str, party: str) -> None:
        """End somebody's collaboration, or one's own; what was read stays read."""
        found = self.hosted_project(place)
        self._act(acts.ProjectUnshared, hosted=found.hosted, party=party)

    def copy_project(
        self, place: str, *, name: str = "", visibility: acts.Visibility = "private"
    ) -> hosting.HostedProject:
        """Copy a hosted project, with its content, into one of this person's own at the same hub.

        Args:
            place: ``OWNER/NAME`` of the original.
            name: The copy's name; the original's by default.
            visibility: Who may read the copy.

        Raises:
            Conflict: This person has another project of that name there.
        """
        source = self.hosted_project(place)
        name, ref = check_name(name or source.name, "hosted project"), self._at()
        found = self._published(ref.name, name)
        if found is not None and found.source != source.hosted:
            raise Conflict(
                f"You have a project {name!r} there already", advice="Choose another --name"
            )
        if found is None:
            self._act(
                acts.ProjectCopied,
                hosted=new_id("hosted"),
                source=source.hosted,
                name=name,
                visibility=visibility,
            )
        return self.hosted_project(f"{ref.name}/{name}")

    def delete_project(self, place: str, reason: str = "") -> tuple[hosting.HostedProject, Digest]:
        """Have a hosted project deleted, as it is now; return what it was, and the act's entry.

        Clones that people have stay theirs.

        Args:
            place: ``OWNER/NAME``.
            reason: Why.

        Raises:
            Conflict: Something was pushed meanwhile.
        """
        found = self.hosted_project(place)
        heads = hosting.digest_of_heads(found.heads)
        done = self._act(acts.ProjectDeleted, hosted=found.hosted, heads=heads, reason=reason)
        return found, Digest(done.entry)

    def hub_token(self, place: str, right: hosting.Right | None = None) -> hosting.Token:
        """Return a short-lived token with which git and git-annex reach a hosted project.

        Args:
            place: ``OWNER/NAME``.
            right: What for; None for all that this person may do over git.
        """
        at = self._place(place)
        return self._run(lambda core: core.hub.token(at.owner, at.name, right))

    def hub_url(self, place: str) -> str:
        """Return the address of a hosted project's git."""
        at = self._place(place)
        return url_of(self._at(), at.owner, at.name)

    def _bearing(self, found: hosting.HostedProject, right: hosting.Right) -> dict[str, str]:
        token = self.hub_token(found.place, right).token
        return bearing(self._at(), found.owner, found.name, token)

    def _published(self, owner: str, name: str) -> hosting.HostedProject | None:
        try:
            return self.hosted_project(f"{owner}/{name}")
        except NotFound:
            return None

    def _place(self, text: str) -> Place:
        ref = self._at()
        found = read_place(text, [ref])
        if found.central not in (None, ref.origin):
            raise Refused(f"{text[:80]!r} is at another central service than {ref.origin}")
        return found

    def _act(self, kind: type[acts.HostedAct], **fields: Any) -> messages.Recorded:
        async def work(core: Core) -> messages.Recorded:
            id_, at = core.stamp()
            return await core.act(kind(id=id_, at=at, **fields))

        return self._run(work)

    def _at(self) -> CentralRef:
        """Return the central service that this client talks to."""
        raise NotImplementedError

    def _run(self, work: Callable[[Core], Coroutine[Any, Any, T]]) -> T:
        """Do something at central and wait for it."""
        raise NotImplementedError
