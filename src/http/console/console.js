// The console's one script. It writes texts and never markup: what it is told may be a stranger's.
"use strict";

const THREADS_MAX = 60;
const body = document.body;
const asOf = document.getElementById("as-of");
let made = Number(body.dataset.asOf || 0);
let live = false;

function ago(millis) {
  const secs = Math.max(0, Math.round((Date.now() - millis) / 1000));
  if (secs < 120) return `${secs} s ago`;
  if (secs < 7200) return `${Math.round(secs / 60)} min ago`;
  return `${Math.round(secs / 3600)} h ago`;
}

function moment(millis) {
  const time = document.createElement("time");
  const text = new Date(millis).toISOString();
  time.dateTime = text;
  time.title = text;
  time.textContent = `${text.slice(0, 19).replace("T", " ")}Z`;
  return time;
}

// How old the page is, so that nobody takes it for newer.
if (asOf && made) {
  const age = document.createElement("span");
  asOf.append(" (", age, ")");
  const tick = () => { age.textContent = ago(made); };
  tick();
  setInterval(tick, 1000);
}

function foreign(text) {
  const bdi = document.createElement("bdi");
  bdi.className = "foreign";
  bdi.textContent = text;
  return bdi;
}

function span(name, ...inside) {
  const made = document.createElement("span");
  made.className = name;
  made.append(...inside);
  return made;
}

function fired(feed, told) {
  if (feed.querySelector(`li[data-seq="${told.seq}"]`)) return;
  const name = told.thread || `seq ${told.seq}`;
  let thread = [...feed.children].find((one) => one.dataset.thread === name);
  if (!thread) {
    thread = document.createElement("li");
    thread.className = "thread";
    thread.dataset.thread = name;
    thread.append(document.createElement("ol"));
  }
  const line = document.createElement("li");
  line.dataset.seq = told.seq;
  let words = foreign(told.text);
  if (told.message) {
    const link = document.createElement("a");
    link.href = feed.dataset.message + encodeURIComponent(told.message);
    link.append(words);
    words = link;
  }
  const quiet = span("quiet", moment(told.at), " ", foreign(told.mailbox), " by ", foreign(told.source));
  line.append(span(`kind ${told.kind}`, told.kind), " ", words, " ", quiet, " ", span("did"));
  thread.firstElementChild.prepend(line);
  feed.prepend(thread);
  while (feed.children.length > THREADS_MAX) feed.lastElementChild.remove();
}

function did(feed, told) {
  const line = feed.querySelector(`li[data-seq="${told.seq}"] .did`);
  if (line) line.replaceChildren(foreign(told.text));
}

const status = document.getElementById("live");
const feed = document.getElementById("feed");
if (status && feed) {
  const { feed: path, after, entry } = status.dataset;
  const source = new EventSource(`${path}?after=${after}&entry=${entry}`);
  const say = (text) => { if (status.textContent !== text) status.textContent = text; };
  source.addEventListener("fired", (event) => fired(feed, JSON.parse(event.data)));
  source.addEventListener("did", (event) => did(feed, JSON.parse(event.data)));
  source.addEventListener("beat", (event) => {
    live = true;
    // What is not in the feed is as old as the page.
    say("Live: what fires, and what is done about it, is told here as it comes.");
    status.dataset.beat = event.data;
  });
  source.onerror = () => {
    live = false;
    const since = status.dataset.beat ? ` since ${new Date(Number(status.dataset.beat)).toISOString().slice(0, 19)}Z` : "";
    say(`Not live${since}: ${source.readyState === 2 ? "load the page again." : "connecting again…"}`);
  };
}
