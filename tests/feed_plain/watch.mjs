// feed.js as an application uses it: prints a line of JSON for all that it tells.
//
//     node [--experimental-websocket] watch.mjs socket|stream|page FEED_JS URL TOKEN CALL,...
const [transport, script, url, token, call] = process.argv.slice(2);
if (transport === "stream") delete globalThis.WebSocket; // as where none comes through
let WebSocket; // the platform's, or those of a page that nobody knows
if (transport.startsWith("page")) {
  const headers = { Origin: "https://evil.example" };
  WebSocket = class extends globalThis.WebSocket {
    constructor(url, protocols) {
      super(url, { protocols, headers });
    }
  };
}
const { Feed } = await import(script);
const feed = new Feed({ url, apiKey: "demo-key", token: async () => token, calls: call.split(","), ...(WebSocket ? { WebSocket } : {}) });
const tell = (what, said) => process.stdout.write(`${JSON.stringify({ what, said })}\n`);
feed.on("event", (event, { text }) => tell("event", { n: event.custom.n, whole: JSON.parse(text).event }));
feed.on("watching", ({ recovered }) => tell("watching", recovered));
feed.on("watching", ({ calls, waiting }) => waiting && tell("waiting", { calls, waiting }));
feed.on("refused", ({ calls }) => tell("refused", calls));
feed.on("gap", () => tell("gap"));
feed.on("error", ({ code }) => tell("error", code));
process.stdin.resume().on("end", () => (feed.close(), process.exit(0)));
