"""Who is let in: the browser that has the token, from these pages, by this address."""

from __future__ import annotations

import re
from itertools import product

import aiohttp
from tests.workbench.pages.conftest import Served
from yarl import URL

from branchline.project.activity.feed import read_all


async def test_an_address_lets_one_browser_in_once(served: Served) -> None:
    """The second one is told what to do."""
    link = served.pages.entrance.link(f"{served.opened.base}/branches")
    for expected in (200, 403):
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session,
            session.get(link) as answer,
        ):
            assert answer.status == expected
            said = await answer.text()
            assert ("Branches" in said) == (expected == 200)
            assert ("start &#39;branchline workbench&#39; again" in said) == (expected == 403)


async def test_nobody_else_sees_anything(served: Served) -> None:
    """Neither without the cookie, nor with a guessed one, nor by a guessed token."""
    async with aiohttp.ClientSession() as stranger:
        for path in (
            "/",
            f"{served.opened.base}/feed",
            f"{served.opened.base}/live",
            "/enter?token=x",
        ):
            cookie = {"Cookie": f"branchline-{served.pages.entrance.port}=guessed"}
            address = served.pages.entrance.origin + path
            for headers in ({}, cookie):
                async with stranger.get(address, headers=headers) as answer:
                    assert answer.status == 403
                    assert "project" not in await answer.text()


async def test_a_name_made_to_lead_here_is_refused(
    served: Served, visitor: aiohttp.ClientSession
) -> None:
    """DNS rebinding: even by a browser that was let in."""
    port = served.pages.entrance.port
    for host in (
        "evil.example",
        f"evil.example:{port}",
        f"127.0.0.1.evil.example:{port}",
        "localhost",
    ):
        async with visitor.get(f"{served.base}/feed", headers={"Host": host}) as answer:
            assert answer.status == 421


async def test_the_cookie_is_for_no_script_and_no_other_site(served: Served) -> None:
    """As the browser is told."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(served.pages.entrance.link(), allow_redirects=False) as answer,
    ):
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert "token" not in answer.headers["Location"]


async def test_where_it_leads_to_stays_here(served: Served) -> None:
    """An address elsewhere in the link is not followed."""
    for elsewhere in ("//evil.example", "https://evil.example", "/\\evil.example"):
        link = served.pages.entrance.link(elsewhere)
        async with (
            aiohttp.ClientSession() as session,
            session.get(link, allow_redirects=False) as answer,
        ):
            assert answer.headers["Location"] == "/"


async def form_token(visitor: aiohttp.ClientSession, served: Served) -> str:
    """Return what a form on a page shows."""
    async with visitor.get(f"{served.base}/feed") as answer:
        found = re.search(r'name="form" value="([0-9a-f]{64})"', await answer.text())
    assert found
    return found[1]


WRONG: list[tuple[dict[str, str], str | None]] = [
    ({}, None),
    ({}, "elsewhere"),
    ({}, "null"),
    ({"form": "0" * 64}, "own"),
    ({"form": ""}, "own"),
]


async def test_another_page_changes_nothing(served: Served, visitor: aiohttp.ClientSession) -> None:
    """Cross-site request forgery: with the cookie, but from elsewhere, or without the form's token."""
    token = await form_token(visitor, served)
    own, before = served.pages.entrance.origin, len(read_all(served.scene.project))
    for form, origin in WRONG:
        filled = {"text": "not mine", "form": token} | form
        known = {"own": own, "elsewhere": "http://evil.example", "null": "null"}
        headers = {} if origin is None else {"Origin": known[origin]}
        for name in ("note", "save", "back", "branch"):
            address = f"{served.base}/act/{name}"
            async with visitor.post(address, data=filled, headers=headers) as answer:
                assert answer.status == 403
    filled = {"text": "not mine", "form": token}
    address = f"{served.base}/act/note"
    async with visitor.post(address, json=filled, headers={"Origin": own}) as answer:
        assert answer.status == 415
    assert len(read_all(served.scene.project)) == before


async def test_other_pages_embed_nothing(served: Served, visitor: aiohttp.ClientSession) -> None:
    """A link may lead here; a picture, a frame or a script's request may not have it."""
    embedded = {
        "Sec-Fetch-Site": "same-site",
        "Sec-Fetch-Mode": "no-cors",
        "Sec-Fetch-Dest": "image",
    }
    framed = {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "iframe",
    }
    linked = {
        "Sec-Fetch-Site": "same-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "document",
    }
    for headers, status in ((embedded, 403), (framed, 403), (linked, 200)):
        async with visitor.get(f"{served.base}/feed", headers=headers) as answer:
            assert answer.status == status


async def test_every_answer_says_what_may_be_loaded(
    served: Served, visitor: aiohttp.ClientSession
) -> None:
    """Pages, files, refusals alike; no page has a script or style of its own in it."""
    for path in (
        "/",
        f"{served.opened.base}/feed",
        "/static/page.js",
        "/nowhere",
        "/p/nobody/feed",
    ):
        async with visitor.get(served.pages.entrance.origin + path) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            if answer.content_type == "text/html":
                said = await answer.text()
                assert answer.headers["Cache-Control"] == "no-store"
                assert not re.search(r"<script(?! src=)|<style| style=| on[a-z]+=|https?://", said)


OUT = (
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    ".git/config",
    "code/../.git/config",
    "out",
    "folder/passwd",
    ".git",
    "nothing",
    "a%00b",
)


async def test_no_path_leads_out_of_the_project(
    served: Served, visitor: aiohttp.ClientSession
) -> None:
    """Nor into git's own folder, nor through a link."""
    root = served.scene.root
    (root / "out").symlink_to("/etc/passwd")
    (root / "folder").symlink_to("/etc")
    for kind, path in product(("raw", "file", "files"), OUT):
        async with visitor.get(URL(f"{served.base}/{kind}/{path}", encoded=True)) as answer:
            said = await answer.text()
            assert "root:" not in said
            assert "[core]" not in said
            assert answer.status == 404 or (path == "out" and "not followed" in said), path
