// The demo page: watches a call through feed.js, sends balloons through Stream's own
// SendCallEvent, and shows whatever comes. Nothing flies before the feed has brought it.
import { Feed } from "../feed.js";

const COLOURS = ["#ff4d6d", "#ffb703", "#06d6a0", "#8338ec", "#fb5607", "#00b4d8"];
const MOST_LINES = 200;
const MOST_BALLOONS = 60;
const SVG = "http://www.w3.org/2000/svg";
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const at = (id) => document.getElementById(id);
let guest = null; // {token, api_key, user, calls}
let seen = 0;

async function admitted() {
  const response = await fetch("demo/token", { method: "POST" });
  if (!response.ok) throw new Error(`no token: ${response.status}`);
  guest = await response.json();
  at("you").textContent = guest.user.name;
  return guest.token;
}

async function sendBalloons() {
  const colours = Array.from({ length: 7 }, () => COLOURS[Math.floor(Math.random() * COLOURS.length)]);
  const [type, id] = guest.calls[0].split(":");
  const path = `video/call/${encodeURIComponent(type)}/${encodeURIComponent(id)}/event`;
  const response = await fetch(`${path}?api_key=${encodeURIComponent(guest.api_key)}`, {
    method: "POST",
    headers: { Authorization: guest.token, "Content-Type": "application/json" },
    body: JSON.stringify({ custom: { kind: "balloons", colours } }),
  });
  if (!response.ok) tell(`The balloons were refused: ${response.status}`);
}

function tell(text) {
  at("who").textContent = text;
}

function shape(colour) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 60 130");
  const part = (name, attributes) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    svg.append(element);
  };
  part("path", { class: "string", d: "M30 78 C 22 95 38 108 29 128" });
  part("path", { d: "M30 2 C 50 2 58 18 58 33 C 58 55 40 68 33 74 L 36 80 H 24 L 27 74 C 20 68 2 55 2 33 C 2 18 10 2 30 2 Z", fill: colour });
  part("ellipse", { class: "shine", cx: 20, cy: 24, rx: 6, ry: 11, transform: "rotate(24 20 24)" });
  return svg;
}

function fly(colour, turn) {
  const sky = at("sky");
  if (sky.childElementCount >= MOST_BALLOONS) return;
  const balloon = document.createElement("div");
  balloon.className = "balloon";
  balloon.style.left = `${4 + Math.random() * 82}%`;
  balloon.style.scale = String(0.75 + Math.random() * 0.5);
  balloon.append(shape(colour));
  sky.append(balloon);
  const height = sky.clientHeight;
  const frames = calm.matches
    ? [{ transform: `translateY(${-height * 0.6}px)`, opacity: 1 }, { transform: `translateY(${-height * 0.6}px)`, opacity: 0 }]
    : [0, 0.33, 0.66, 1].map((part, step) => ({
        transform: `translate(${(step % 2 ? 1 : -1) * 18}px, ${-part * (height + 420)}px) rotate(${(step % 2 ? 1 : -1) * 5}deg)`,
      }));
  const flight = balloon.animate(frames, {
    duration: calm.matches ? 3000 : 5000 + Math.random() * 2500,
    delay: calm.matches ? 0 : turn * 140,
    easing: "ease-in-out",
    fill: "both",
  });
  flight.finished.then(() => balloon.remove(), () => {});
}

function line(title, detail, className = "") {
  const item = document.createElement("li");
  item.className = className;
  const time = document.createElement("time");
  time.textContent = new Date().toLocaleTimeString([], { hour12: false });
  const name = document.createElement("b");
  name.textContent = title;
  const rest = document.createElement("span");
  rest.textContent = detail;
  item.append(time, name, rest);
  const events = at("events");
  events.prepend(item);
  if (events.childElementCount > MOST_LINES) events.lastElementChild.remove();
  at("empty").hidden = true;
}

// The demo's guests are called guest-<random>-<name>.
const called = (user) => user?.name || user?.id?.replace(/^guest-[0-9a-f]+-/, "");

function detailOf({ user, participant, member, custom, call_cid: call, session_id: session }) {
  const who = called(user) || participant?.user?.id || member?.user_id;
  const what = custom ? JSON.stringify(custom).slice(0, 140) : session ? `session ${session}` : call;
  return [who, what].filter(Boolean).join(" · ");
}

function take(event, { cursor }) {
  at("count").textContent = String((seen += 1));
  at("cursor").textContent = cursor;
  line(event.type, detailOf(event));
  const { kind, colours } = event.custom ?? {};
  if (event.type !== "custom" || kind !== "balloons" || !Array.isArray(colours)) return;
  const known = colours.filter((colour) => COLOURS.includes(colour)).slice(0, 12);
  known.forEach(fly);
  tell(event.user?.id === guest.user.id ? "Your balloons" : `Balloons from ${called(event.user)}`);
}

async function begin() {
  await admitted();
  const asked = new URLSearchParams(location.search).getAll("call");
  if (asked.length) guest.calls = asked;
  const { calls } = guest;
  at("call").textContent = calls.join(", ");
  at("second").href = location.href;
  let isFirst = true;
  const feed = new Feed({
    url: new URL("feed", location.href).href,
    apiKey: guest.api_key,
    token: () => {
      if (isFirst) return ((isFirst = false), guest.token);
      return admitted().then((token) => ((guest.calls = calls), token));
    },
    calls,
  });
  feed.on("event", take);
  feed.on("status", (status) => {
    at("status").textContent = status === "open" ? "live" : status;
    at("status").dataset.status = status;
    at("send").disabled = status !== "open";
  });
  feed.on("watching", ({ cursor, recovered }) => {
    at("cursor").textContent = cursor;
    if (recovered) line("recovered", "back, with all that was missed", "note");
  });
  feed.on("gap", () => line("gap", "some events were missed and are gone", "note"));
  at("send").addEventListener("click", sendBalloons);
}

begin().catch((error) => tell(String(error)));
