"""The Python client: everything a researcher does, as plain calls.

::

    import branchline

    with branchline.Client() as client:
        journey = client.depart("pancreatitis", "my-train", {"arm": "placebo"})
        journey.wait(progress=True)
        print(journey.result().values)

Works in scripts and in notebooks: what waits for the network runs in a thread of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from branchline.environment.service import Progress
from branchline.foundation.clock import Clock, SystemClock
from branchline.foundation.digest import Digest, parse_digest
from branchline.foundation.errors import Refused
from branchline.journey import acts, messages
from branchline.journey.enrolment import join
from branchline.journey.invitation import parse_invitation
from branchline.journey.request import OnDecline
from branchline.train.bundle import Bundle, open_bundle, pack, sign_bundle
from branchline.workbench.core import Core, StudyState
from branchline.workbench.environment_verbs import EnvironmentVerbs, silent
from branchline.workbench.home import CentralRef, KeptTrain, WorkbenchHome, default_folder
from branchline.workbench.hub.verbs import HubVerbs
from branchline.workbench.journey import Journey
from branchline.workbench.loop import PrivateLoop
from branchline.workbench.request import Wishes, make_request

T = TypeVar("T")

__all__ = ["Client", "Journey", "StudyState"]


class Client(EnvironmentVerbs, HubVerbs):
    """A researcher at a central service.

    Args:
        home: The researcher's folder; by default ``BRANCHLINE_HOME`` or ``~/.branchline``.
        central: Origin or address of the central service, if enrolled at several.
        clock: This machine's time.
    """

    def __init__(
        self,
        home: str | Path | None = None,
        *,
        central: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.home = WorkbenchHome(default_folder() if home is None else Path(home))
        self._chosen, self._clock = central, clock or SystemClock()
        self._loop: PrivateLoop | None = None
        self._core: Core | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; the client may be used again afterwards."""
        core, loop = self._core, self._loop
        self._core = self._loop = None
        if core is not None and loop is not None:
            loop.run(core.close())
        if loop is not None:
            loop.close()

    # Joining

    def enroll(self, invitation: str, *, ca_file: str | None = None) -> CentralRef:
        """Join a central service; the keys are made in the home and stay there.

        Raises:
            Refused: The text is no invitation, or one for a station.
            NotAllowed: Central does not accept it.
            Corrupt: The service met is not the one that invited.
        """
        read = parse_invitation(invitation)
        if read.kind != "person":
            raise Refused(
                f"The invitation is for the {read.kind} {read.name!r}",
                advice="Use it with 'branchline station enroll'",
            )
        joining = join(
            self.home.identity,
            read,
            self._clock,
            secret=self.home.epochs.current(),
            ca_file=ca_file,
            keep=self.home.keep_enrolment,
        )
        hello = self._running().run(joining)
        ref = CentralRef(hello.origin, read.url, read.name, hello.keys, hello.log_vkey, ca_file)
        self.home.remember(ref)
        return ref

    # Studies

    def propose_study(self, draft: str | Path) -> StudyState:
        """Put a study forward from a draft with names in place of keys.

        Args:
            draft: The path of a TOML file, or the TOML text itself (which has several lines).
        """
        text = draft if isinstance(draft, str) and "\n" in draft else _read(Path(draft))
        return self._run(lambda core: core.propose(text))

    def show_study(self, name: str) -> StudyState:
        """Return a study and where it stands, every signature checked."""
        return self._run(lambda core: core.study(name))

    def approve_study(self, name: str, *, digest: str | None = None) -> StudyState:
        """Approve a study as its named approver.

        Args:
            name: The study.
            digest: The revision that was read; any other is refused.
        """
        return self._decide(acts.StudyApproved, name, digest)

    def suspend_study(self, name: str, reason: str = "") -> StudyState:
        """Stop a study for the time being."""
        return self._decide(acts.StudySuspended, name, None, reason=reason)

    def resume_study(self, name: str) -> StudyState:
        """Let a suspended study go on."""
        return self._decide(acts.StudyResumed, name, None)

    def close_study(self, name: str) -> StudyState:
        """End a study for good."""
        return self._decide(acts.StudyClosed, name, None)

    # Trains

    def pack(self, folder: str | Path, lists: Sequence[str] = ()) -> Bundle:
        """Make the bundle of a train's folder, sign it, and keep it in the home.

        In a project the bundle names the project's commit, its activity and the data lists.

        Args:
            folder: The train's.
            lists: The data lists that it was made with: ``training``, ``test@2``.

        Raises:
            Conflict: The folder is in a project, and not saved as it is; or a required check of the
                project is not met.
        """
        # What others do needs none of it.
        from branchline.project.data.origin import origin_of
        from branchline.project.place import Project
        from branchline.workbench.checking import require_checks, require_train_checks

        origin = origin_of(Path(folder), lists)
        if origin is not None:
            require_checks(Project.open(Path(folder)).git, origin.commit, "packing")
        bundle = pack(Path(folder), origin)
        require_train_checks(bundle)
        self._keep(bundle)
        return bundle

    def send_train(self, folder: str | Path, *, progress: Progress = silent) -> Digest:
        """Pack a train's folder and bring the bundle to central; once is enough.

        The image that its lock names is brought, too, if it is on this machine and not there.
        """
        bundle = self.pack(folder)
        self._send(bundle.digest)
        self._bring(bundle.environment, progress)
        return bundle.digest

    # Journeys

    def depart(
        self,
        study: str,
        train: str | Path,
        parameters: Mapping[str, Any] | None = None,
        *,
        stations: Sequence[str] | None = None,
        datasets: Mapping[str, str] | None = None,
        rounds: int | None = None,
        quorum: int | None = None,
        deadline_seconds: int | None = None,
        on_decline: OnDecline | None = None,
        progress: Progress = silent,
    ) -> Journey:
        """Send a train on a journey.

        The image that the train's lock names is brought to central if it is on this machine and
        not there.

        Args:
            study: The study that permits it.
            train: A train's folder (packed and sent if need be), or the digest of a packed one.
            parameters: Checked against the train's schema; defaults are filled in.
            stations: The route; by default all of the study's, in its order.
            datasets: For each station the dataset to use, where the study names several.
            rounds: The most rounds, in place of the train's.
            quorum: How many stations must contribute, in place of the train's.
            deadline_seconds: How long a round or a stop may take, in place of the train's.
            on_decline: Whether a sequential route waits or skips, in place of the train's.
            progress: Told, in a few words, what of an image is sent.

        Raises:
            Refused: The parameters or the route are not acceptable.
            NotAllowed: The study does not permit it; the sentence names every reason.
        """
        text = str(train)
        digest = parse_digest(text) if text.startswith("sha256:") else self.pack(train).digest
        data, kept = self.home.train(digest)
        state = self.show_study(study)
        wishes = Wishes(stations, datasets, rounds, quorum, deadline_seconds, on_decline)
        opened = open_bundle(data, digest)
        request = make_request(
            state.document, digest, kept.author, opened.manifest, parameters or {}, wishes
        )
        self._send(digest)
        self._bring(opened.environment, progress)
        self._run(lambda core: core.depart(request))
        return self.journey(request.journey)

    def journey(self, id: str) -> Journey:
        """Return a journey by its identifier; it is looked up when it is first asked anything."""
        core = self._connected()
        return Journey(id, core, self._running(), self.home)

    def journeys(self) -> list[messages.JourneyStatus]:
        """Return this researcher's journeys, newest first, up to central's limit."""
        return list(self._run(lambda core: core.journeys()))

    # Inside

    def _decide(
        self, kind: type[acts.StudyAct], name: str, digest: str | None, **fields: str
    ) -> StudyState:
        state = self.show_study(name)
        if digest is not None and digest != state.digest:
            raise Refused(
                f"The study {name!r} is {state.digest} now, not {digest}",
                advice="Read it again with 'branchline study show'",
            )

        async def work(core: Core) -> StudyState:
            id_, at = core.stamp()
            await core.act(
                kind(id=id_, at=at, study=state.document.id, study_digest=state.digest, **fields)
            )
            return await core.study(name)

        return self._run(work)

    def _keep(self, bundle: Bundle) -> None:
        if bundle.digest not in self.home.trains():
            author = sign_bundle(bundle, self.home.identity)
            self.home.keep_train(bundle.digest, bundle.data, KeptTrain(author))

    def _send(self, digest: Digest) -> None:
        data, kept = self.home.train(digest)
        origin = self._connected().ref.origin
        if origin in kept.sent:
            return
        manifest = open_bundle(data, digest).manifest

        async def work(core: Core) -> None:
            id_, at = core.stamp()
            act = acts.TrainPacked(
                id=id_, at=at, train=digest, name=manifest.name, version=manifest.version
            )
            await core.send_train(act, kept.author, data)

        self._run(work)
        self.home.keep_train(digest, data, KeptTrain(kept.author, (*kept.sent, origin)))

    def _running(self) -> PrivateLoop:
        if self._loop is None:
            self._loop = PrivateLoop()
        return self._loop

    def _connected(self) -> Core:
        if self._core is None:
            self._core = Core(self.home, self.home.central(self._chosen), self._clock)
        return self._core

    def _at(self) -> CentralRef:
        return self.home.central(self._chosen)

    def _run(self, work: Callable[[Core], Coroutine[Any, Any, T]]) -> T:
        core = self._connected()
        return self._running().run(work(core))


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"The study draft {path} cannot be read: {error}") from error
