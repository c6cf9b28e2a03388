// What pages can do beyond links and forms. Without this file everything still works.
"use strict";

const base = document.querySelector("main[data-base]")?.dataset.base;
const formToken = document.querySelector('meta[name="form-token"]')?.content ?? "";

// Parts of a page that are brought once it stands.

async function load(part) {
  const answer = await fetch(part.dataset.load, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const typed = part.querySelector("input:focus, textarea:focus");
  if (typed?.value) return; // somebody is writing there
  part.innerHTML = await answer.text();
}

const loadAll = (selector) => document.querySelectorAll(selector).forEach(load);

// Acts: sent without leaving the page, their progress and result in a corner.

function toast(job) {
  const id = `job-${job.job}`;
  let box = document.getElementById(id);
  if (!box) {
    box = document.createElement("div");
    box.id = id;
    box.className = "toast";
    document.getElementById("toasts").append(box);
  }
  box.replaceChildren();
  const title = document.createElement("p");
  title.className = "toast-title";
  title.textContent = job.done ? job.sentence : job.title;
  box.append(title);
  box.classList.toggle("busy", !job.done);
  box.classList.toggle("good", Boolean(job.done && job.good));
  box.classList.toggle("bad", Boolean(job.done && !job.good));
  if (!job.done) {
    const said = document.createElement("p");
    said.className = "quiet";
    said.textContent = `${job.said} …`;
    box.append(said);
    return;
  }
  if (job.lines?.length) {
    const list = document.createElement("ul");
    for (const line of job.lines.slice(0, 6)) {
      const entry = document.createElement("li");
      entry.textContent = line;
      list.append(entry);
    }
    box.append(list);
  }
  const row = document.createElement("p");
  row.className = "toast-row";
  if (job.link) {
    const link = document.createElement("a");
    link.href = job.link;
    link.textContent = "Look at it";
    if (new URL(link.href).origin !== location.origin) {
      link.textContent = "Open it";
      link.target = "_blank";
      link.rel = "noopener noreferrer";
    }
    row.append(link);
  }
  const close = document.createElement("button");
  close.type = "button";
  close.className = "button ghost small";
  close.textContent = "Close";
  close.addEventListener("click", () => box.remove());
  row.append(close);
  box.append(row);
  if (job.good && !row.querySelector('[target]')) setTimeout(() => { if (!box.matches(":hover, :focus-within")) box.remove(); }, 9000);
}

function refused(sentence) {
  toast({ job: `no-${Date.now()}`, done: true, good: false, sentence });
}

const told = new Set(); // what is done already, and told

function heard(job) {
  if (job.done && told.has(job.job)) return;
  if (job.done) {
    told.add(job.job);
    document.querySelectorAll(".waits").forEach((button) => button.classList.remove("waits"));
    loadAll("[data-reload]");
    const page = document.querySelector(`[data-job="${job.job}"]`);
    if (page || document.querySelector(".branches, .check-card, .empty form")) setTimeout(() => location.reload(), page ? 0 : 900);
  }
  toast(job);
}

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-act]");
  if (!form || !base) return;
  event.preventDefault();
  const button = event.submitter;
  button?.classList.add("waits");
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      headers: { Accept: "application/json" },
      body: new URLSearchParams(new FormData(form)),
    });
    const said = await answer.json();
    if (!answer.ok) {
      refused(said.refused);
    } else {
      form.closest("details.ask")?.removeAttribute("open");
      form.querySelectorAll("textarea, input:not([type=hidden]):not([type=checkbox])").forEach((field) => { field.value = ""; });
      form.querySelectorAll("input[type=checkbox]").forEach((field) => { field.checked = false; });
      if (!told.has(said.job)) heard(said);
      if (!stream) follow();
    }
  } catch {
    refused("The workbench does not answer. Start it again with 'branchline workbench'.");
  }
  button?.classList.remove("waits");
});

// The feed, live.

const feed = document.getElementById("feed");

function put(days) {
  const fresh = [...days.querySelectorAll(".day")];
  if (fresh.length) feed.querySelector(".empty")?.remove();
  for (const day of fresh.reverse()) {
    for (const entry of day.querySelectorAll(".entry")) {
      if (feed.querySelector(`[data-record="${entry.dataset.record}"]`)) entry.remove();
      else entry.classList.add("fresh");
    }
    if (!day.querySelector(".entry")) continue;
    const same = feed.querySelector(`.day[data-day="${day.dataset.day}"]`);
    if (same) same.querySelector("h2").after(...day.querySelectorAll(".entry"));
    else feed.prepend(day);
  }
}

let fetching = false;
let again = false;

async function newer() {
  if (!feed) return;
  if (fetching) { again = true; return; }
  fetching = true;
  try {
    do {
      again = false;
      const since = feed.dataset.newest;
      const answer = await fetch(feed.dataset.newer + (since ? `&after=${encodeURIComponent(since)}` : ""));
      if (!answer.ok) break;
      const holder = document.createElement("template");
      holder.innerHTML = await answer.text();
      const found = holder.content.querySelector("[data-newest]");
      if (found.dataset.newest) feed.dataset.newest = found.dataset.newest;
      put(found);
    } while (again);
  } finally {
    fetching = false;
  }
}

let stream = null;

function follow() {
  if (!base || stream) return;
  stream = new EventSource(`${base}/live`);
  stream.addEventListener("message", (event) => {
    const said = JSON.parse(event.data);
    document.documentElement.dataset.live = "yes";
    if (said.kind === "job") heard(said);
    if (said.kind === "changed") loadAll("[data-reload]");
    if (said.kind === "hello" || said.kind === "changed") newer();
  });
  stream.addEventListener("error", () => { delete document.documentElement.dataset.live; });
}

function leave() {
  stream?.close();
  stream = null;
}

// A page nobody looks at holds no line open.
document.addEventListener("visibilitychange", () => (document.hidden ? leave() : follow()));

// Older records are put below, where one reads on.

document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-older]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  link.classList.add("waits");
  const answer = await fetch(link.href);
  if (!answer.ok) { location.href = link.href; return; }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const days = [...page.querySelectorAll("#feed .day")];
  const last = feed.querySelector(".day:last-of-type");
  const [head] = days;
  if (head && last && head.dataset.day === last.dataset.day) {
    last.append(...head.querySelectorAll(".entry"));
    days.shift();
  }
  feed.append(...days);
  const next = page.querySelector("a[data-older]");
  if (next) { link.href = next.getAttribute("href"); link.classList.remove("waits"); }
  else link.remove();
});

// Small things.

document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.closest("input, textarea, [contenteditable]")) {
    event.preventDefault();
    document.getElementById("q")?.focus();
  }
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches("textarea")) {
    event.target.form.requestSubmit();
  }
});

document.addEventListener("input", (event) => {
  if (event.target.matches("textarea")) {
    event.target.style.height = "auto";
    event.target.style.height = `${event.target.scrollHeight}px`;
  }
  const table = event.target.dataset.filter && document.getElementById(event.target.dataset.filter);
  if (table) {
    const wanted = event.target.value.toLowerCase();
    for (const row of table.tBodies[0].rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  }
});

document.querySelectorAll("[data-filter]").forEach((field) => { field.hidden = false; });

document.querySelectorAll("[data-theme-switch]").forEach((button) => {
  button.hidden = false;
  button.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* kept for this page only */ }
  });
});

// Only one question is open at a time, and Escape closes it.
document.addEventListener("toggle", (event) => {
  if (!event.target.matches("details.ask") || !event.target.open) return;
  document.querySelectorAll("details.ask[open]").forEach((each) => { if (each !== event.target) each.open = false; });
  event.target.querySelector("input:not([type=hidden])")?.focus();
}, true);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") document.querySelectorAll("details.ask[open]").forEach((each) => { each.open = false; each.querySelector("summary").focus(); });
});
document.addEventListener("click", (event) => {
  document.querySelectorAll("details.ask[open]").forEach((each) => { if (!each.contains(event.target)) each.open = false; });
});

loadAll("[data-load]");
if (!document.hidden) follow();
