// The plain feed's client: watches calls, comes back by itself, and goes on where it was.
//
//   import { Feed } from "https://gateway.example.com/feed.js";
//   const feed = new Feed({ apiKey: "...", token: () => fetchToken(), calls: ["default:room"] });
//   feed.on("event", (event, { cursor }) => console.log(event.type, event));
//
// It never gives up: after a loss it waits a random time, up to 30 s, and asks for all that it
// missed. What could not be had any more is told ("gap"), never passed over. WebSocket first;
// where none comes through, server-sent events. No dependencies; browsers and Node 20 or newer.
// Loaded as a module it is also `globalThis.GatewayFeed`.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
const HANDSHAKE_MS = 15_000; // until the server has said what is watched
const STEADY_MS = 5_000; // a connection that lived as long begins waiting from the start again
const TRIES_PER_TRANSPORT = 2;
const PROTOCOL = "gateway.feed.v1";
const ASK_AGAIN_MS = 10_000; // on average, where there is no place to wait for a call
const [NO_PLACE, FOREIGN_PAGE] = [9, 4003]; // codes of errors
const HERE = import.meta.url;

export class Feed {
  #options;
  #calls;
  #listeners = new Map();
  #link = null; // the connection under way or open
  #timer = null;
  #attempt = 0;
  #failed = { socket: 0, stream: 0 }; // openings in a row that came to nothing
  #status = "idle";
  #wantsSnapshot;
  #turnedAway = new Set(); // calls that will be asked for again
  #askTimer = null;

  /**
   * url: of the feed; by default beside this file. apiKey: names the app. token: the user's, or a
   * function that returns one or a promise of one, asked before every connection. calls: to
   * watch, as type:id. types: globs; by default everything. since: a cursor to go on from.
   * snapshot: have each call's state told first. WebSocket, fetch: where the platform has none.
   */
  constructor(options) {
    this.#options = { url: new URL("feed", HERE).href, ...options };
    this.#calls = new Set(options.calls ?? []);
    this.#wantsSnapshot = Boolean(options.snapshot);
    this.cursor = options.since ?? null;
    globalThis.addEventListener?.("online", this.#hurry);
    queueMicrotask(() => this.#connect()); // so that listeners added now hear all of it
  }

  /** idle (nothing to watch), connecting, open, waiting, or closed. */
  get status() {
    return this.#status;
  }

  get calls() {
    return [...this.#calls];
  }

  /**
   * Have `listener` called; returns how to stop that. Names and arguments:
   * event (event, {cursor, text}); watching ({calls, waiting, recovered, cursor}), again when a
   * call that was waited for names the user; snapshot ({call_cid, state}); gap ({calls}): events
   * of these calls were missed; refused ({calls, error}): these are not watched any more; error
   * ({code, message}), code 4003: the server does not let this page's origin in; status (status).
   */
  on(name, listener) {
    const known = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, known.add(listener));
    return () => known.delete(listener);
  }

  watch(calls) {
    const fresh = calls.filter((call) => !this.#calls.has(call));
    for (const call of fresh) this.#calls.add(call);
    if (fresh.length) this.#change({ type: "watch", calls: fresh, snapshot: this.#wantsSnapshot });
  }

  unwatch(calls) {
    const known = calls.filter((call) => this.#calls.delete(call));
    if (known.length) this.#change({ type: "unwatch", calls: known });
  }

  /** End it for good. */
  close() {
    globalThis.removeEventListener?.("online", this.#hurry);
    clearTimeout(this.#timer);
    clearTimeout(this.#askTimer);
    this.#become("closed");
    this.#drop();
  }

  #emit(name, ...args) {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        listener(...args);
      } catch (error) {
        // One listener's mistake must not cost the others an event.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  #become(status) {
    if (this.#status === status || this.#status === "closed") return;
    this.#status = status;
    this.#emit("status", status);
  }

  #change(message) {
    if (this.#status === "closed") return;
    if (this.#calls.size === 0) {
      this.#drop();
      clearTimeout(this.#timer);
      this.#become("idle");
    } else if (this.#status === "open" && this.#link.send) {
      this.#link.send(JSON.stringify(message));
    } else if (this.#status !== "waiting") {
      this.#drop(); // server-sent events, or not open yet: begin again with the new calls
      this.#connect();
    }
  }

  #drop() {
    const link = this.#link;
    this.#link = null;
    clearTimeout(link?.watchdog);
    link?.end();
  }

  #hurry = () => {
    if (this.#status === "waiting") this.#connect();
  };

  async #connect() {
    clearTimeout(this.#timer);
    if (this.#status === "closed" || this.#calls.size === 0 || this.#link) return;
    this.#become("connecting");
    const link = { end() {} }; // until there is a connection, it stands for the attempt
    this.#link = link;
    const isCurrent = () => this.#link === link;
    const kind = this.#kind();
    let opened = null;
    const lost = (reason) => {
      if (!isCurrent()) return;
      this.#drop();
      if (opened === null) this.#failed[kind] += 1;
      else if (Date.now() - opened > STEADY_MS) this.#attempt = 0;
      this.#wait(reason);
    };
    const alive = (within) => {
      clearTimeout(link.watchdog);
      if (isCurrent()) link.watchdog = setTimeout(() => lost("silence"), within);
    };
    let patience = HANDSHAKE_MS;
    const take = (text) => {
      if (!isCurrent()) return;
      const message = JSON.parse(text);
      if (message.type === "watching" && opened === null) {
        opened = Date.now();
        this.#failed[kind] = 0;
        patience = message.ping_ms * 2.5;
      }
      alive(patience);
      this.#take(message, text);
    };
    alive(HANDSHAKE_MS);
    try {
      const { token } = this.#options;
      const credential = typeof token === "function" ? await token() : token;
      if (!isCurrent()) return;
      const open = kind === "socket" ? openSocket : openStream;
      open(this.#options, link, this.#first(credential), take, lost);
    } catch (error) {
      this.#emit("error", { code: 0, message: String(error) });
      lost("error");
    }
  }

  #first(token) {
    const first = { type: "watch", token, api_key: this.#options.apiKey, calls: this.calls };
    if (this.#options.types) first.types = this.#options.types;
    if (this.cursor !== null) first.since = this.cursor;
    if (this.#wantsSnapshot) first.snapshot = true;
    return first;
  }

  #kind() {
    const { WebSocket: own = globalThis.WebSocket, fetch = globalThis.fetch } = this.#options;
    if (!own) return "stream";
    if (!fetch) return "socket";
    const turn = this.#failed.socket + this.#failed.stream;
    return this.#failed.socket && turn % (2 * TRIES_PER_TRANSPORT) >= TRIES_PER_TRANSPORT
      ? "stream"
      : "socket";
  }

  // Full jitter: a crowd that lost its server together comes back spread out.
  #wait(reason) {
    if (this.#status === "closed") return;
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(this.#attempt, 16));
    this.#attempt += 1;
    this.#become("waiting");
    this.#emit("waiting", { reason });
    this.#timer = setTimeout(() => this.#connect(), Math.random() * longest);
  }

  #take(message, text) {
    if (message.cursor) this.cursor = message.cursor;
    if (message.event !== undefined) {
      this.#emit("event", message.event, { cursor: message.cursor, text });
    } else if (message.type === "watching") {
      this.#become("open");
      this.#emit("watching", message);
      if (message.recovered === false) this.#emit("gap", { calls: message.lost });
    } else if (message.type === "gap") {
      this.#emit("gap", { calls: message.calls });
    } else if (message.type === "snapshot") {
      this.#emit("snapshot", message);
    } else if (message.type === "error") {
      this.#emit("error", message);
      if (message.code === FOREIGN_PAGE) this.#attempt = 16; // a page that stays may come in later
      if (message.code === NO_PLACE && message.calls) this.#askLater(message.calls);
      else if (message.calls) this.#refused(message);
    }
  }

  // No refusal: nobody knows yet whether these calls will name the user.
  #askLater(calls) {
    for (const call of calls) this.#turnedAway.add(call);
    clearTimeout(this.#askTimer);
    this.#askTimer = setTimeout(
      () => {
        const still = [...this.#turnedAway].filter((call) => this.#calls.has(call));
        this.#turnedAway.clear();
        const message = { type: "watch", calls: still, snapshot: this.#wantsSnapshot };
        if (still.length) this.#change(message);
      },
      ASK_AGAIN_MS * (0.5 + Math.random()),
    );
  }

  #refused(error) {
    for (const call of error.calls) this.#calls.delete(call);
    this.#emit("refused", { calls: error.calls, error });
    if (this.#calls.size === 0) this.#change({});
  }
}

function openSocket({ url, WebSocket: own = globalThis.WebSocket }, link, first, take, lost) {
  const socket = new own(url.replace(/^http/, "ws"), [PROTOCOL]);
  link.send = (text) => socket.send(text);
  link.end = () => {
    // After this nobody listens: a socket that closes late must not be heard.
    socket.onmessage = socket.onclose = socket.onopen = null;
    socket.onerror = () => {};
    socket.close();
  };
  socket.onopen = () => socket.send(JSON.stringify(first));
  socket.onmessage = ({ data }) => take(data);
  socket.onerror = () => setTimeout(() => lost("error")); // in Node 20 no close follows
  socket.onclose = ({ code }) => lost(`closed ${code}`);
}

// Server-sent events by fetch and not by EventSource, which could not send the token.
async function openStream({ url, fetch = globalThis.fetch }, link, first, take, lost) {
  const ending = new AbortController();
  link.end = () => ending.abort();
  try {
    const response = await fetch(streamUrl(url, first), {
      headers: {
        Accept: "text/event-stream",
        ...(first.token ? { Authorization: first.token } : {}),
      },
      signal: ending.signal,
      cache: "no-store",
    });
    if (!response.ok) {
      take(await response.text());
      return lost(`status ${response.status}`);
    }
    await readStream(response.body, take);
    lost("ended");
  } catch (error) {
    lost(String(error));
  }
}

function streamUrl(base, { api_key, calls, types = [], since, snapshot }) {
  const url = new URL(base.replace(/^ws/, "http"));
  if (api_key) url.searchParams.set("api_key", api_key);
  for (const call of calls) url.searchParams.append("call", call);
  for (const type of types) url.searchParams.append("type", type);
  if (since) url.searchParams.set("since", since);
  if (snapshot) url.searchParams.set("snapshot", "1");
  return url.href;
}

// The part of the format that our server writes: data, id, and comments as a sign of life.
async function readStream(body, take) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let data = [];
  let id = null;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith("data: ")) data.push(line.slice(6));
      else if (line.startsWith("id: ")) id = line.slice(4);
      else if (line === "") {
        // A block without data is a ping, whose id is where an idle watcher stands.
        take(data.length ? data.join("\n") : JSON.stringify({ type: "ping", cursor: id }));
        [data, id] = [[], null];
      }
    }
  }
}

globalThis.GatewayFeed ??= Feed;
