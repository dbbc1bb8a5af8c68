// The peer: Node's own HTTP server, the `ws` package, and a loop of `send` over the watchers of a call.
//
//     node feed_ws.js HOST PORT
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const [host, port] = process.argv.slice(2);
const watchers = new Map();
const callOf = (request) => new URL(request.url, "http://x").searchParams.get("call");

const server = createServer((request, response) => {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", () => {
    const body = Buffer.concat(pieces);
    for (const socket of watchers.get(callOf(request)) ?? []) socket.send(body, { binary: false });
    response.writeHead(204).end();
  });
});
server.keepAliveTimeout = 60_000;

new WebSocketServer({ server, perMessageDeflate: false }).on("connection", (socket, request) => {
  const call = callOf(request);
  if (!watchers.has(call)) watchers.set(call, new Set());
  const own = watchers.get(call);
  own.add(socket);
  socket.on("close", () => own.delete(socket));
});

server.listen({ host, port: Number(port), backlog: 1024 });
