"""The hub's part of central's API: looking, and tokens; git and content have tables of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiohttp import web

from branchline.central.hub.annex_http import AnnexDoor
from branchline.central.hub.git_http import GitDoor
from branchline.central.hub.hosting import Hub
from branchline.central.hub.rights import Standing
from branchline.foundation.http.api import Call, Route
from branchline.journey import hosting


class HubApi:
    """Handlers upon hosted projects; a part of ``Api``."""

    _hub: Hub
    _git: GitDoor
    _annex: AnnexDoor

    def hub_routes(self) -> Sequence[Route]:
        """Return the table."""
        return [
            Route("GET", "/hub/{owner}/{name}/info/refs", self.advertise,
                  "Which branches a hosted project has (gitprotocol-http)", "token", answer=bytes),
            Route("POST", "/hub/{owner}/{name}/git-upload-pack", self.fetch,
                  "Fetch from a hosted project", "token", body=bytes, answer=bytes),
            Route("POST", "/hub/{owner}/{name}/git-receive-pack", self.push,
                  "Push to a hosted project", "token", body=bytes, answer=bytes),
            Route("GET", "/hub/{owner}/{name}/config", self.describe,
                  "What git-annex calls the hub, and where it has content", "token", answer=bytes),
            Route("GET", "/hub/{owner}/{name}/git-annex/{uuid}/{rest:.*}", self.content,
                  "Content, over git-annex's own protocol", "token", answer=bytes),
            Route("POST", "/hub/{owner}/{name}/git-annex/{uuid}/{rest:.*}", self.content,
                  "Ask of content, bring or lock it, over git-annex's own protocol", "token",
                  body=bytes, answer=bytes),
            Route("GET", "/v1/projects", self.projects, "The hosted projects the caller may read",
                  answer=hosting.HostedList),
            Route("GET", "/v1/projects/{owner}/{name}", self.project, "A hosted project",
                  answer=hosting.HostedProject),
            Route("POST", "/v1/projects/{owner}/{name}/tokens", self.token,
                  "A short-lived token for git and git-annex, which cannot sign requests",
                  body=hosting.TokenWanted, answer=hosting.Token),
        ]  # fmt: skip

    async def projects(self, call: Call) -> hosting.HostedList:
        """List what the caller may read."""
        return hosting.HostedList(projects=tuple(self._hub.listed(call.by)))

    async def project(self, call: Call) -> hosting.HostedProject:
        """Return a hosted project with its branches."""
        return await asyncio.to_thread(self._hub.view, self._at(call), call.by)

    async def token(self, call: Call) -> hosting.Token:
        """Make a token for the caller."""
        wanted: hosting.TokenWanted = call.body
        return self._hub.token(self._at(call), call.by, wanted.right)

    async def advertise(self, call: Call) -> web.StreamResponse:
        """Tell a git client which branches there are."""
        return await self._git.advertise(call.request, call.path("owner"), call.path("name"))

    async def fetch(self, call: Call) -> web.StreamResponse:
        """Hand a git client what it lacks."""
        return await self._git.fetch(call.request, call.path("owner"), call.path("name"))

    async def push(self, call: Call) -> web.StreamResponse:
        """Take in what a git client pushes."""
        return await self._git.push(call.request, call.path("owner"), call.path("name"))

    async def describe(self, call: Call) -> web.StreamResponse:
        """Tell git-annex where content is."""
        return await self._annex.describe(call.request, call.path("owner"), call.path("name"))

    async def content(self, call: Call) -> web.StreamResponse:
        """Hand content out, or take it in, as git-annex asks."""
        parts = (call.path("owner"), call.path("name"), call.path("uuid"), call.path("rest"))
        return await self._annex.answer(call.request, *parts)

    def _at(self, call: Call) -> Standing:
        return self._hub.store.at(call.path("owner"), call.path("name"))
