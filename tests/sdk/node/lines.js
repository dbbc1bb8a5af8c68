// Commands in, answers out: one JSON object a line, on standard input and output.
//
//   in   {"id": 1, "client": "alice", "do": "get", "with": {...}}
//   out  {"id": 1, "ok": ...}   or   {"id": 1, "error": {"name", "message", "code", "status"}}
//   out  {"client": "alice", ...}   whatever a client tells without being asked
//
// Commands run as they come, side by side. The process ends with its input.
import { createInterface } from "node:readline";

export const tell = (said) => process.stdout.write(JSON.stringify(said) + "\n");

export function serve(run, atEnd = () => {}) {
  const lines = createInterface({ input: process.stdin });
  lines.on("line", async (line) => {
    const command = JSON.parse(line);
    tell({ id: command.id, ...(await outcome(() => run(command))) });
  });
  lines.on("close", async () => {
    await atEnd();
    process.exit(0);
  });
}

async function outcome(run) {
  try {
    return { ok: (await run()) ?? null };
  } catch (error) {
    const { name, message, code, status, metadata } = error;
    return {
      error: {
        name,
        message,
        code: code ?? metadata?.code ?? null,
        status: status ?? metadata?.responseCode ?? null,
      },
    };
  }
}
