"""The pages' addresses: which view or act answers, and how an error is said."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web
from aiohttp.typedefs import Middleware

from branchline.foundation.errors import BranchlineError, NotFound, Refused
from branchline.foundation.http.events import KEEP_ALIVE, write_event
from branchline.foundation.http.server import status_of
from branchline.project.changes import Change
from branchline.project.differing import changes_of
from branchline.project.place import Project
from branchline.workbench.pages.acts import ACTS, Asked, work_of
from branchline.workbench.pages.desk import Desk, Event, Opened
from branchline.workbench.pages.entrance import FORM_TOKEN, Entrance
from branchline.workbench.pages.jobs import Job
from branchline.workbench.pages.render import render
from branchline.workbench.pages.shown.media import PICTURES
from branchline.workbench.pages.shown.terminal import plain
from branchline.workbench.pages.views import files
from branchline.workbench.pages.views.branches import branches_page
from branchline.workbench.pages.views.checks import checks_page
from branchline.workbench.pages.views.data import data_page
from branchline.workbench.pages.views.environment import audit_part, environment_page
from branchline.workbench.pages.views.feed import feed_page
from branchline.workbench.pages.views.frame import Frame, frame
from branchline.workbench.pages.views.projects import projects_page
from branchline.workbench.pages.views.record import part, record_page
from branchline.workbench.pages.views.search import search_page

log = logging.getLogger("branchline.workbench")

STATIC_FOLDER = Path(__file__).parent / "static"
_BEAT_SECONDS = 15.0
_PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
"""Where a picture is opened by itself: an SVG is a document then, and stays without scripts."""


@dataclass(frozen=True)
class ErrorPage:
    """A page that says no."""

    status: int
    refused: str
    advice: str


@dataclass(frozen=True)
class JobPage:
    """An act that is under way or done."""

    frame: Frame
    job: Job


@dataclass(frozen=True)
class StatePart:
    """What is not saved yet."""

    base: str
    count: int
    changes: tuple[Change, ...]


class Pages:
    """Answers requests.

    Args:
        desk: What is open.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.entrance = Entrance(self._refusal)
        around: list[Middleware] = [self.entrance.middleware, self._speaking]
        self.app = web.Application(middlewares=around, client_max_size=1 << 20)
        get, post = self.app.router.add_get, self.app.router.add_post
        get("/", self._projects)
        post("/add", self._add)
        post("/forget", self._forget)
        get("/favicon.ico", self._mark)
        base = "/p/{key}"
        get(base, self._to_feed)
        get(f"{base}/feed", self._feed)
        get(f"{base}/newer", self._newer)
        get(f"{base}/live", self._live)
        get(f"{base}/state", self._state)
        get(f"{base}/record/{{name:.+}}", self._record)
        get(f"{base}/part/{{name:.+}}/{{number:[0-9]+}}", self._part)
        get(f"{base}/files", self._files)
        get(f"{base}/files/{{path:.+}}", self._files)
        get(f"{base}/file/{{path:.+}}", self._file)
        get(f"{base}/raw/{{path:.+}}", self._raw)
        get(f"{base}/environment", self._environment)
        get(f"{base}/environment/audit", self._audit)
        get(f"{base}/data", self._data)
        get(f"{base}/checks", self._checks)
        get(f"{base}/branches", self._branches)
        get(f"{base}/search", self._search)
        get(f"{base}/jobs/{{number:[0-9]+}}", self._job)
        post(f"{base}/act/{{act:[a-z]+}}", self._act)
        self.app.router.add_static("/static", STATIC_FOLDER)
        self.app.on_shutdown.append(self._ending)

    # Around every page

    @web.middleware
    async def _speaking(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Turn every error into a page with its sentence."""
        try:
            return await handler(request)
        except BranchlineError as error:
            return self._refusal(request, status_of(error), error.refused, error.advice)
        except web.HTTPNotFound:
            return self._refusal(request, 404, "There is no such page", "Go back to the projects")
        except web.HTTPMethodNotAllowed:
            return self._refusal(request, 405, "This page takes no such request", "")
        except web.HTTPRequestEntityTooLarge:
            return self._refusal(request, 413, "That is too much at once", "Say it in fewer words")
        except ConnectionError:
            raise  # nobody is there to be told
        except Exception:
            # Outermost loop: the page says that it failed, and the others go on.
            log.exception("a page failed: %s", request.path)
            return self._refusal(request, 500, "This page failed by a mistake of Branchline's", "")

    def _refusal(
        self, request: web.Request, status: int, refused: str, advice: str
    ) -> web.Response:
        if "application/json" in request.headers.get("Accept", ""):
            sentences = [refused.rstrip("."), advice.rstrip(".")] if advice else [refused]
            said = {"refused": ". ".join(sentences) + "."}
            return web.json_response(said, status=status, headers={"Cache-Control": "no-store"})
        page = ErrorPage(status, plain(refused), plain(advice))
        return _html(render("error.html", page, form_token=""), status)

    def _page(self, request: web.Request, template: str, context: Any) -> web.Response:
        token = self.entrance.form_token(request)
        return _html(render(template, context, form_token=token))

    def _opened(self, request: web.Request) -> Opened:
        return self.desk.open(request.match_info["key"])

    async def _ending(self, _: web.Application) -> None:
        self.desk.leave()

    # Projects

    async def _projects(self, request: web.Request) -> web.Response:
        page = await asyncio.to_thread(projects_page, self.desk)
        return self._page(request, "projects.html", page)

    async def _add(self, request: web.Request) -> web.Response:
        given = str((await request.post()).get("folder", "")).strip()
        if not given:
            raise Refused("No folder was named", advice="Give the folder of a project")
        opened = await asyncio.to_thread(_add, self.desk, given)
        return _to(f"{opened.base}/feed")

    async def _forget(self, request: web.Request) -> web.Response:
        self.desk.forget(str((await request.post()).get("key", "")))
        return _to("/")

    async def _mark(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(STATIC_FOLDER / "mark.svg")

    # A project's activity

    async def _to_feed(self, request: web.Request) -> web.Response:
        return _to(f"{self._opened(request).base}/feed")

    async def _feed(self, request: web.Request) -> web.Response:
        opened = self._opened(request)
        if not request.query.get("before"):
            self.desk.known.remember(opened.project.root)
        self.desk.begin(opened)
        page = await asyncio.to_thread(feed_page, opened, request.query)
        return self._page(request, "feed.html", page)

    async def _newer(self, request: web.Request) -> web.Response:
        """Answer with what is new since a cursor, to be put on top of what is shown."""
        opened = self._opened(request)
        page = await asyncio.to_thread(feed_page, opened, request.query)
        return self._page(request, "newer.html", page)

    async def _record(self, request: web.Request) -> web.Response:
        page = await asyncio.to_thread(
            record_page, self._opened(request), request.match_info["name"]
        )
        return self._page(request, "record.html", page)

    async def _part(self, request: web.Request) -> web.Response:
        opened, info = self._opened(request), request.match_info
        content, media = await asyncio.to_thread(part, opened, info["name"], int(info["number"]))
        # It is named by its record's digest: it never changes.
        return _picture(content, media, "private, max-age=31536000, immutable")

    async def _live(self, request: web.Request) -> web.StreamResponse:
        """Tell of records and acts as they come (server-sent events)."""
        opened = self._opened(request)
        answer = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await answer.prepare(request)
        # Whoever leaves a page leaves the line, perhaps in the middle of a word.
        with opened.told() as told, suppress(ConnectionError):
            await answer.write(write_event(b'{"kind":"hello"}'))
            for job in opened.jobs.under_way:
                await answer.write(_event({"kind": "job", **job.as_json()}))
            while (event := await _next(told)) is not None:
                await answer.write(_event(event) if event else KEEP_ALIVE)
        return answer

    async def _state(self, request: web.Request) -> web.Response:
        opened = self._opened(request)
        found = await asyncio.to_thread(changes_of, opened.project, each=False, aside=True)
        own = [change for change in found if not change.path.startswith("activity/")]
        return self._page(request, "state.html", StatePart(opened.base, len(own), tuple(own[:12])))

    # Files

    async def _files(self, request: web.Request) -> web.Response:
        path = request.match_info.get("path", "").rstrip("/")
        page = await asyncio.to_thread(files.folder_page, self._opened(request), path)
        return self._page(request, "files.html", page)

    async def _file(self, request: web.Request) -> web.Response:
        opened, path = self._opened(request), request.match_info["path"]
        page = await asyncio.to_thread(files.file_page, opened, path)
        return self._page(request, "file.html", page)

    async def _raw(self, request: web.Request) -> web.StreamResponse:
        """Answer with a file's content: a picture to be shown, all else to be kept."""
        opened, path = self._opened(request), request.match_info["path"]
        content = await asyncio.to_thread(files.content_of, opened.project, path)
        if content is None:
            raise NotFound("The content of this file is not in this clone")
        media = files.PICTURES.get(Path(path).suffix.lower())
        headers = {"Content-Security-Policy": _PICTURE_POLICY, "Cache-Control": "no-store"}
        if media is None or request.query.get("keep"):
            media = "application/octet-stream"
            name = quote(path.rpartition("/")[2].encode("utf-8", "surrogateescape"), safe="")
            headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{name}"
        return web.FileResponse(content, headers={**headers, "Content-Type": media})

    # The rest

    async def _environment(self, request: web.Request) -> web.Response:
        page = await asyncio.to_thread(environment_page, self._opened(request), self.desk.store)
        return self._page(request, "environment.html", page)

    async def _audit(self, request: web.Request) -> web.Response:
        found = await asyncio.to_thread(audit_part, self._opened(request), self.desk.store)
        return self._page(request, "audit.html", found)

    async def _data(self, request: web.Request) -> web.Response:
        page = await asyncio.to_thread(data_page, self._opened(request))
        return self._page(request, "data.html", page)

    async def _checks(self, request: web.Request) -> web.Response:
        page = await asyncio.to_thread(checks_page, self._opened(request))
        return self._page(request, "checks.html", page)

    async def _branches(self, request: web.Request) -> web.Response:
        page = await asyncio.to_thread(branches_page, self._opened(request))
        return self._page(request, "branches.html", page)

    async def _search(self, request: web.Request) -> web.Response:
        opened, words = self._opened(request), request.query.get("q", "")
        page = await asyncio.to_thread(search_page, opened, words)
        return self._page(request, "search.html", page)

    async def _job(self, request: web.Request) -> web.Response:
        opened = self._opened(request)
        job = opened.jobs.find(int(request.match_info["number"]))
        if job is None:
            raise NotFound("That was long ago", advice="See the activity")
        return self._page(request, "job.html", JobPage(frame(opened, "feed", job.title), job))

    async def _act(self, request: web.Request) -> web.Response:
        opened, name = self._opened(request), request.match_info["act"]
        if name not in ACTS:
            raise NotFound("There is no such act")
        form = {k: v for k, v in (await request.post()).items() if isinstance(v, str)}
        form.pop(FORM_TOKEN, None)
        job = opened.jobs.start(ACTS[name][0], work_of(name, lambda: self._asked(opened, form)))
        if "application/json" in request.headers.get("Accept", ""):
            return web.json_response(job.as_json(), headers={"Cache-Control": "no-store"})
        return _to(f"{opened.base}/jobs/{job.number}")

    def _asked(self, opened: Opened, form: Mapping[str, str]) -> Asked:
        # Opened anew: its settings are judged as they are now.
        project = Project.open(opened.project.root)
        return Asked(opened.base, project, self.desk.identity, self.desk.store, form, self.desk.lab)


async def _next(told: asyncio.Queue[Event | None]) -> Event | None:
    """Return what is told next; an empty event where nothing was for a while."""
    try:
        return await asyncio.wait_for(told.get(), _BEAT_SECONDS)
    except TimeoutError:
        return {}


def _add(desk: Desk, given: str) -> Opened:
    folder = Path(given).expanduser()
    if not folder.is_dir():
        raise NotFound(f"There is no folder {plain(given[:200])}", advice="Check its name")
    return desk.add(folder)


def _event(said: Mapping[str, Any]) -> bytes:
    return write_event(json.dumps(said).encode())


def _html(text: str, status: int = 200) -> web.Response:
    # Pages show what is confidential, perhaps: no cache on disk keeps them.
    return web.Response(
        text=text, status=status, content_type="text/html", headers={"Cache-Control": "no-store"}
    )


def _picture(content: bytes, media: str, cache: str) -> web.Response:
    assert media in PICTURES
    headers = {"Content-Security-Policy": _PICTURE_POLICY, "Cache-Control": cache}
    return web.Response(body=content, content_type=media, headers=headers)


def _to(place: str) -> web.Response:
    return web.Response(status=303, headers={"Location": place})
