"""Ask central about hosted projects, as one person."""

from __future__ import annotations

from branchline.foundation.errors import Corrupt
from branchline.foundation.http.client import ApiClient
from branchline.journey import hosting


class HubService:
    """Central's hub.

    Args:
        api: Central's API.
    """

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    async def projects(self) -> tuple[hosting.HostedProject, ...]:
        """Return the hosted projects this person may read."""
        answer = await self._api.call("GET", "/v1/projects", answer=hosting.HostedList)
        return answer.projects

    async def project(self, owner: str, name: str) -> hosting.HostedProject:
        """Return one hosted project.

        Raises:
            NotFound: There is none, or not for this person.
        """
        path = f"/v1/projects/{owner}/{name}"
        found = await self._api.call("GET", path, answer=hosting.HostedProject)
        if (found.owner, found.name) != (owner, name):
            raise Corrupt(f"Asked for {owner}/{name}, central answered with {found.place}")
        return found

    async def token(
        self, owner: str, name: str, right: hosting.Right | None = None
    ) -> hosting.Token:
        """Return a short-lived token for git and git-annex.

        Args:
            owner: Whose project.
            name: Which.
            right: What for; None for all that this person may do over git.
        """
        path, body = f"/v1/projects/{owner}/{name}/tokens", hosting.TokenWanted(right=right)
        return await self._api.call("POST", path, body=body, answer=hosting.Token)
