"use strict";
// Put the new contents of the page in the place of the old, where they differ. Contents come from DOMParser, which runs
// no script, and the policy of the page allows no script but this one.
const every = 2000;
let tag = "";
const footer = document.querySelector("footer");
const note = document.createElement("span");
const filter = document.createElement("input");
filter.type = "search";
filter.id = "filter";
filter.placeholder = "Filter instances and events";
filter.setAttribute("aria-label", "Filter instances and events");
note.setAttribute("role", "status");
footer.append(" ", note);
document.querySelector("header").append(filter);

function sift() {
  const wanted = filter.value.trim().toLowerCase();
  for (const row of document.querySelectorAll("#instances ~ details tbody tr, #events ~ .card tbody tr"))
    row.hidden = wanted !== "" && !row.textContent.toLowerCase().includes(wanted);
  for (const part of document.querySelectorAll("#instances ~ details")) {
    const found = part.querySelector("tbody tr:not([hidden])") !== null;
    part.hidden = wanted !== "" && !found;
  }
}

function name(part) {
  const heading = part.querySelector("summary");
  return heading === null ? "" : heading.firstChild.textContent;
}

function show(text) {
  const page = new DOMParser().parseFromString(text, "text/html");
  const main = page.querySelector("main"), header = page.querySelector("header");
  if (main === null || header === null) return;
  const open = new Map([...document.querySelectorAll("details")].map(part => [name(part), part.open]));
  for (const part of main.querySelectorAll("details"))
    if (open.has(name(part))) part.open = open.get(name(part));
  const place = window.scrollY;
  document.querySelector("main").replaceWith(document.adoptNode(main));
  const old = document.querySelector("header");
  for (const selector of [".lead", ".overview", "nav"])
    old.querySelector(selector).replaceWith(document.adoptNode(header.querySelector(selector)));
  sift();
  window.scrollTo(0, place);
}

async function look() {
  try {
    const answer = await fetch("/contents", {headers: tag === "" ? {} : {"If-None-Match": tag}, cache: "no-store"});
    if (answer.status === 200) {
      show(await answer.text());
      tag = answer.headers.get("ETag");
    }
    const looked = new Date(Number(answer.headers.get("X-Looked")) * 1000).toLocaleTimeString();
    const failed = answer.headers.get("X-Failed") === "1" ? " The last look failed." : "";
    note.textContent = `Last looked at ${looked}.${failed}`;
    note.className = "";
  } catch {
    note.textContent = "The server of this page does not answer.";
    note.className = "state bad";
  }
  window.setTimeout(look, every);
}

filter.addEventListener("input", sift);
look();
