// The peer: events from a stream to HTTP receivers by ioredis and undici's own dispatch.
//
//     node deliver.js REDIS_SOCKET CONCURRENCY URL [URL ...]
//
// Reads in batches, keep-alive connections, as many requests under way as the gateway may have,
// acknowledgements in batches. What the event needs (signature, id) lies beside it in the stream.
// It has no retries, no dead letters, no counts and no leases.
import { Redis } from "ioredis";
import { Pool } from "undici";

const [socket, concurrency, ...urls] = process.argv.slice(2);
const BATCH = 256;
const most = Number(concurrency);

// A reply of RESP3 is a map, flat; one of RESP2 a list of pairs.
function* streamsOf(found) {
  for (const each of found ?? []) {
    if (Array.isArray(each)) yield Array.isArray(each[1]) && Buffer.isBuffer(each[0]) ? each[1] : each;
  }
}

class Group {
  constructor(number, url) {
    this.name = `group-${number}`;
    const { origin, pathname } = new URL(url);
    this.path = pathname;
    this.pool = new Pool(origin, { connections: most, pipelining: 1 });
    this.reader = new Redis({ path: socket });
    this.acker = new Redis({ path: socket });
    this.underWay = 0;
    this.queue = [];
    this.done = [];
    this.acking = false;
  }

  async read() {
    for (;;) {
      const found = await this.reader.callBuffer(
        "XREADGROUP", "GROUP", this.name, "c", "COUNT", BATCH, "BLOCK", 1000, "STREAMS", "events", ">",
      );
      for (const entries of streamsOf(found)) {
        this.queue.push(...entries);
        this.pump();
      }
      while (this.queue.length > BATCH) await new Promise((resolve) => (this.drained = resolve));
    }
  }

  pump() {
    while (this.underWay < most && this.queue.length) this.send(this.queue.shift());
    if (this.queue.length <= BATCH && this.drained) {
      this.drained();
      this.drained = undefined;
    }
  }

  send([id, fields]) {
    const [, app, , webhook, , signature, , body] = fields;
    this.underWay++;
    const group = this;
    let delivered = false;
    this.pool.dispatch(
      {
        path: this.path,
        method: "POST",
        body,
        headers: [
          "content-type", "application/json", "x-signature", signature.toString("latin1"),
          "x-webhook-id", webhook.toString("latin1"), "x-webhook-attempt", "1",
          "x-api-key", app.toString("latin1"),
        ],
      },
      {
        onRequestStart() {},
        onResponseStart(_controller, status) {
          delivered = status >= 200 && status < 300;
        },
        onResponseData() {},
        onResponseEnd() {
          group.underWay--;
          if (delivered) group.acknowledge(id);
          group.pump();
        },
        onResponseError(_controller, error) {
          throw error;
        },
      },
    );
  }

  async acknowledge(id) {
    this.done.push(id);
    if (this.acking) return;
    this.acking = true;
    await null;
    while (this.done.length) {
      const done = this.done;
      this.done = [];
      await this.acker.xack("events", this.name, ...done);
    }
    this.acking = false;
  }
}

await Promise.all(urls.map((url, number) => new Group(number, url).read()));
