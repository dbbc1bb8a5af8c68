// The peer: Bun's own server, its WebSockets, and its `publish` to the watchers of a call.
//
//     bun feed_bun.js HOST PORT
const [host, port] = Bun.argv.slice(2);

Bun.serve({
  hostname: host,
  port: Number(port),
  async fetch(request, server) {
    const { pathname, searchParams } = new URL(request.url);
    const call = searchParams.get("call");
    if (pathname === "/publish") {
      server.publish(call, await request.text());
      return new Response(null, { status: 204 });
    }
    if (server.upgrade(request, { data: call })) return undefined;
    return new Response(null, { status: 404 });
  },
  websocket: {
    perMessageDeflate: false,
    open: (socket) => socket.subscribe(socket.data),
    message: () => {},
  },
});
