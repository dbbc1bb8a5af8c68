// Users of @stream-io/video-client, as an application has them; the same in Node and in a page.
//
// Every event that the SDK gives to a listener is told on: `event` by client.on("all"), `heard` by
// call.on("custom"). What the SDK adds to an event (received_at) is taken off again.
import { StreamVideoClient } from "@stream-io/video-client";

const log = (level, ...said) => console.error(level, said.map(String).join(" "));

class User {
  #client;
  #calls = new Map();
  #tell;
  #tokensAsked = 0;

  constructor(tell) {
    this.#tell = tell;
  }

  async connect({ api_key, base_url, user, tokens = [], tries = 1 }) {
    this.#client = new StreamVideoClient(api_key, {
      baseURL: base_url,
      // Left alone, the SDK asks a server of Stream's where it is; this one is the gateway.
      locationHintUrl: new URL(base_url).origin,
      locationHintMaxAttempts: 1,
      maxConnectUserRetries: tries,
      timeout: 60_000, // of a request: a machine may be slower than the SDK's default thinks
      logger: log,
    });
    this.#client.on("all", ({ received_at, ...event }) => this.#tell({ event }));
    const provider = async () => tokens[Math.min(this.#tokensAsked++, tokens.length - 1)];
    await this.#client.connectUser(user, tokens.length > 1 ? provider : tokens[0]);
    return this.status();
  }

  status() {
    return {
      connection_id: this.#client.streamClient._getConnectionID(),
      user: this.#client.state.connectedUser?.id,
      tokens_asked: this.#tokensAsked,
    };
  }

  disconnect() {
    return this.#client.disconnectUser();
  }

  get_or_create({ cid, data }) {
    return this.#call(cid).getOrCreate(data && { data });
  }

  get({ cid }) {
    return this.#call(cid).get();
  }

  // The request of call.join(), which is what watches. What follows it is media.
  join({ cid, ...data }) {
    return this.#call(cid).doJoinRequest(data);
  }

  // As an application joins: the request, and then media.
  join_with_media({ cid }) {
    return this.#call(cid).join({ create: true, maxJoinRetries: 1 });
  }

  async query({ watch, filter, sort, limit, next }) {
    const answer = await this.#client.queryCalls({
      filter_conditions: filter,
      sort,
      limit,
      next,
      watch,
    });
    for (const call of answer.calls) this.#listen(call);
    return { cids: answer.calls.map((call) => call.cid), next: answer.next ?? null };
  }

  // One after another, as a user clicks: the next one goes when the last was answered.
  async send({ cid, events }) {
    for (const custom of events) await this.#call(cid).sendCustomEvent(custom);
  }

  // What the SDK made of a call's answers and events.
  state({ cid }) {
    const { state, watching } = this.#call(cid);
    return {
      watching,
      custom: state.custom,
      created_at: state.createdAt?.toISOString(),
      created_by: state.createdBy?.id,
      members: state.members.map((member) => member.user_id),
    };
  }

  #call(cid) {
    return this.#calls.get(cid) ?? this.#listen(this.#client.call(...cid.split(":")));
  }

  #listen(call) {
    if (!this.#calls.has(call.cid)) {
      this.#calls.set(call.cid, call);
      call.on("custom", ({ received_at, ...heard }) => this.#tell({ heard }));
    }
    return this.#calls.get(call.cid);
  }
}

const users = new Map();

export function runner(tell) {
  return ({ client, do: name, with: args }) => {
    if (!users.has(client)) users.set(client, new User((said) => tell({ client, ...said })));
    return users.get(client)[name](args);
  };
}
