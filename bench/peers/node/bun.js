// The peer: Bun's own server, its own Redis client (which pipelines by itself), its own HMAC.
//
//     bun bun.js HOST PORT REDIS_URL SECRET PATH
//
// It verifies, stores with one XADD, and answers once Redis has. It neither deduplicates nor
// journals. The secret's hash state is made once and copied, the body stays bytes.
import { timingSafeEqual } from "node:crypto";
import { RedisClient } from "bun";

const [host, port, url, secret, path] = Bun.argv.slice(2);
const redis = new RedisClient(url);
const keyed = new Bun.CryptoHasher("sha256", secret);
await redis.connect();

function isSigned(body, claimed) {
  const expected = keyed.copy().update(body).digest("hex");
  return claimed?.length === 64 && timingSafeEqual(Buffer.from(expected), Buffer.from(claimed));
}

async function receive(request) {
  const body = await request.bytes();
  if (!isSigned(body, request.headers.get("x-signature"))) {
    return new Response(null, { status: 401 });
  }
  await redis.send("XADD", ["events", "*", "body", body]);
  return new Response(null);
}

Bun.serve({
  hostname: host,
  port: Number(port),
  routes: { [path]: { POST: receive } },
  fetch: () => new Response(null, { status: 404 }),
});
