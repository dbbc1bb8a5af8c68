// The peer: fastify and ioredis with autopipelining, no logger.
//
//     node fastify.js HOST PORT REDIS_SOCKET SECRET PATH
//
// It verifies, stores with one XADD, and answers once Redis has. It neither deduplicates nor
// journals.
import { createHmac, timingSafeEqual } from "node:crypto";
import Fastify from "fastify";
import { Redis } from "ioredis";

const [host, port, socket, secret, path] = process.argv.slice(2);
const redis = new Redis({ path: socket, enableAutoPipelining: true });
const app = Fastify({ logger: false });

app.addContentTypeParser("application/json", { parseAs: "buffer" }, (_request, body, done) => {
  done(null, body);
});

function isSigned(body, claimed) {
  const expected = createHmac("sha256", secret).update(body).digest("hex");
  return claimed?.length === 64 && timingSafeEqual(Buffer.from(expected), Buffer.from(claimed));
}

app.post(path, async (request, reply) => {
  if (!isSigned(request.body, request.headers["x-signature"])) return reply.code(401).send();
  await redis.xadd("events", "*", "body", request.body);
  return reply.send();
});

await app.listen({ host, port: Number(port) });
