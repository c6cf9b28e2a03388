"""``branchline hub``: projects that a central service hosts, for others to read and to work on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from branchline.cli.frame import Answer, lines, table, verb, working
from branchline.cli.project.places import project_option
from branchline.cli.researcher import HOME

if TYPE_CHECKING:
    from branchline.journey.acts import Role, Visibility
    from branchline.journey.hosting import HostedProject
    from branchline.workbench.client import Client

VISIBILITIES = ("private", "internal", "public")
_VISIBILITY = click.Choice(VISIBILITIES)
_PLACE = click.argument("place", metavar="OWNER/NAME")
CENTRAL = click.option("--central", metavar="ORIGIN", help="Which one, if enrolled at several.")


@click.group(no_args_is_help=True)
def hub() -> None:
    """Publish projects at a central service, share, copy and delete them."""


@verb(
    hub,
    "publish",
    "branchline hub publish\nbranchline hub publish --name wear --visibility internal",
)
@click.option("--name", default="", help="Its name at the hub; by default the project's own.")
@click.option("--visibility", type=_VISIBILITY, default="private", show_default=True,
              help="Who may read it besides its collaborators: nobody, all enrolled, everybody.")  # fmt: skip
@click.option("--remote", default="hub", show_default=True, help="What git is to call the hub.")
@project_option
@CENTRAL
@HOME
def publish(
    name: str,
    visibility: Visibility,
    remote: str,
    where: Path,
    central: str | None,
    home: Path,
) -> Answer:
    """Have a central service host this project, and send its branches there.

    Afterwards plain 'git push hub' and 'git pull hub' reach it, and 'git annex copy --to hub' brings
    content. Done again, it sends what is new.
    """
    with _client(home, central) as client, working("publishing") as progress:
        found = client.publish_project(
            where, name=name, visibility=visibility, remote=remote, progress=progress
        )
        url = client.hub_url(found.place)
    text = lines(
        f"{found.place} is at {url}, {_who(found)}",
        f"Bring its data with 'git annex copy --to {remote}'",
    )
    return Answer(hosted_as_json(found) | {"url": url, "remote": remote}, text)


@verb(hub, "list", "branchline hub list")
@CENTRAL
@HOME
def list_(central: str | None, home: Path) -> Answer:
    """List the hosted projects that you may read."""
    with _client(home, central) as client:
        found = client.hosted_projects()
    rows = [(each.place, each.visibility, each.role) for each in found]
    text = table(("project", "visibility", "you may"), rows, "There is none that you may read.")
    return Answer({"projects": [hosted_as_json(each) for each in found]}, text)


@verb(hub, "show", "branchline hub show clara/tooth-wear")
@_PLACE
@CENTRAL
@HOME
def show(place: str, central: str | None, home: Path) -> Answer:
    """Show a hosted project: who may do what, and where its branches end."""
    with _client(home, central) as client:
        found, url = client.hosted_project(place), client.hub_url(place)
    people = [f"{each.name} ({each.role})" for each in found.collaborators]
    text = lines(
        f"project      {found.place}",
        f"address      {url}",
        f"visibility   {found.visibility}: {_who(found)}",
        f"you may      {found.role}",
        f"shared with  {', '.join(people)}" if people else "",
        *(f"branch       {name} {commit[:12]}" for name, commit in found.heads.items()),
    )
    return Answer(hosted_as_json(found) | {"url": url}, text)


@verb(hub, "visibility", "branchline hub visibility clara/tooth-wear internal")
@_PLACE
@click.argument("visibility", type=_VISIBILITY)
@CENTRAL
@HOME
def visibility(place: str, visibility: Visibility, central: str | None, home: Path) -> Answer:
    """Say who may read a hosted project besides its collaborators.

    private: nobody; internal: everybody enrolled there; public: everybody. Content of data goes to
    enrolled people only.
    """
    with _client(home, central) as client:
        found = client.show_project_to(place, visibility)
    return Answer(hosted_as_json(found), f"{found.place} is {found.visibility} now: {_who(found)}")


@verb(hub, "share", "branchline hub share clara/tooth-wear ben --role write")
@_PLACE
@click.argument("person")
@click.option("--role", type=click.Choice(["read", "write", "own"]), default="read",
              show_default=True, help="What the person may do.")  # fmt: skip
@CENTRAL
@HOME
def share(place: str, person: str, role: Role, central: str | None, home: Path) -> Answer:
    """Make somebody a collaborator, or give one another role."""
    with _client(home, central) as client:
        found = client.share_project(place, person, role)
    return Answer(hosted_as_json(found), f"{person} may {role} {found.place} now")


@verb(hub, "unshare", "branchline hub unshare clara/tooth-wear ben")
@_PLACE
@click.argument("person")
@CENTRAL
@HOME
def unshare(place: str, person: str, central: str | None, home: Path) -> Answer:
    """End somebody's collaboration, or your own.

    It takes effect at once; what was read stays read.
    """
    with _client(home, central) as client:
        client.unshare_project(place, person)
    return Answer({"place": place, "person": person}, f"{person} is no collaborator any more")


@verb(hub, "copy", "branchline hub copy clara/tooth-wear --name my-wear")
@_PLACE
@click.option("--name", default="", help="The copy's name; by default the original's.")
@click.option("--visibility", type=_VISIBILITY, default="private", show_default=True,
              help="Who may read the copy.")  # fmt: skip
@CENTRAL
@HOME
def copy(place: str, name: str, visibility: Visibility, central: str | None, home: Path) -> Answer:
    """Copy a hosted project, branches and content, into one of your own at the same hub."""
    with _client(home, central) as client, working("copying"):
        found = client.copy_project(place, name=name, visibility=visibility)
    return Answer(hosted_as_json(found), f"{found.place} is a copy of {place}, {_who(found)}")


@verb(hub, "delete", "branchline hub delete clara/tooth-wear --reason 'Moved to the institute'")
@_PLACE
@click.option("--reason", default="", help="Why; it stands in the ledger.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@CENTRAL
@HOME
def delete(place: str, reason: str, yes: bool, central: str | None, home: Path) -> Answer:
    """Delete a hosted project at the hub; everybody's clones stay.

    The ledger keeps that it was there, and where each branch ended. Central's backups, and snapshots
    of its disk, are not reached.
    """
    if not yes:
        click.confirm(f"Delete {place} at the hub?", abort=True, err=True)
    with _client(home, central) as client:
        found, entry = client.delete_project(place, reason)
    data = {"place": found.place, "hosted": found.hosted, "heads": found.heads, "entry": entry}
    return Answer(data, f"{found.place} is deleted at the hub; the ledger has it as {entry}")


@verb(hub, "credential", "branchline hub credential clara/tooth-wear get < request")
@_PLACE
@click.argument("action", type=click.Choice(["get", "store", "erase"]))
@CENTRAL
@HOME
def credential(
    place: str, action: Literal["get", "store", "erase"], central: str | None, home: Path
) -> Answer:
    """Get git a short-lived token; git itself calls this.

    Nothing is kept: each call gets a token of its own by a signed request.
    """
    from branchline.journey.hosting import TOKENS

    if action != "get":
        return Answer({})
    with _client(home, central) as client:
        token = client.hub_token(place)
    data: dict[str, Any] = {"username": TOKENS, "password": token.token}
    return Answer(data, lines(*(f"{name}={value}" for name, value in data.items())))


def hosted_as_json(found: HostedProject) -> dict[str, Any]:
    """Return a hosted project as plain JSON values."""
    return {
        "place": found.place,
        "hosted": found.hosted,
        "project": found.project,
        "visibility": found.visibility,
        "role": found.role,
        "collaborators": {each.name: each.role for each in found.collaborators},
        "source": found.source or None,
        "annex": found.annex or None,
        "heads": found.heads,
    }


def _who(found: HostedProject) -> str:
    words = {
        "private": "for its collaborators only",
        "internal": "for everybody enrolled there to read",
        "public": "for everybody to read",
    }
    return words[found.visibility]


def _client(home: Path, central: str | None) -> Client:
    from branchline.workbench.client import Client

    return Client(home, central=central)
