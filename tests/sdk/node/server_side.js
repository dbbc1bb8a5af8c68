// @stream-io/node-sdk: an application's server.
import { StreamClient } from "@stream-io/node-sdk";
import { serve } from "./lines.js";

let stream;
const call = (cid) => stream.video.call(...cid.split(":"));
const commands = {
  connect({ api_key, secret, root_url }) {
    stream = new StreamClient(api_key, secret, { basePath: root_url, timeout: 60_000 });
  },
  token: ({ user_id }) => stream.generateUserToken({ user_id }),
  call_token: ({ user_id, cids }) => stream.generateCallToken({ user_id, call_cids: cids }),
  get_or_create: ({ cid, data }) => call(cid).getOrCreate({ data }),
  get: ({ cid }) => call(cid).get(),
  async query({ filter, sort, limit, next }) {
    const answer = await stream.video.queryCalls({ filter_conditions: filter, sort, limit, next });
    return { cids: answer.calls.map((one) => one.call.cid), next: answer.next ?? null };
  },
  async send({ cid, user_id, events }) {
    for (const custom of events) await call(cid).sendCallEvent({ user_id, custom });
  },
  parse_sqs: ({ body }) => stream.parseSqs(body),
  verify: ({ body, signature }) => stream.verifyWebhook(body, signature),
};

serve(({ do: name, with: args }) => commands[name](args));
