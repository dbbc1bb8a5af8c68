// @stream-io/video-client in a page of headless Chromium.
//
// The page comes from a port of its own, another origin than the gateway's: every request of the
// SDK is cross-origin. Argument: Chromium's path.
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { serve, tell } from "./lines.js";

async function bundled() {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("in_page.js", import.meta.url))],
    bundle: true,
    format: "esm",
    platform: "browser",
    write: false,
    logLevel: "error",
  });
  return outputFiles[0].contents;
}

async function siteOf(script) {
  const server = createServer((request, response) => {
    const isScript = request.url === "/page.js";
    response.setHeader("Content-Type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? script : '<!doctype html><script type="module" src="/page.js"></script>');
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${server.address().port}/`;
}

// Nothing that loosens the browser's rules: what the page may do, an application's page may do.
function launched(path) {
  const libraries = join(dirname(path), "al2023", "lib"); // beside the Chromium from npm
  const own = existsSync(libraries) ? { LD_LIBRARY_PATH: libraries } : {};
  return chromium.launch({ executablePath: path, env: { ...process.env, ...own }, timeout: 80_000 });
}

// The error's fields, which do not survive the way out of a page by themselves.
const inPage = async (command) => {
  try {
    return { ok: (await window.run(command)) ?? null };
  } catch ({ name, message, code, status }) {
    return { error: { name, message, code, status } };
  }
};

const [browser, script] = await Promise.all([launched(process.argv[2]), bundled()]);
const page = await browser.newPage();
page.setDefaultTimeout(80_000);
page.on("console", (said) => console.error(said.type(), said.text()));
page.on("pageerror", (error) => console.error("uncaught", error));
await page.exposeFunction("tell", (said) => tell(JSON.parse(said)));
await page.goto(await siteOf(script));
await page.waitForFunction(() => window.run);

serve(
  async (command) => {
    const { ok, error } = await page.evaluate(inPage, command);
    if (error) throw error;
    return ok;
  },
  () => browser.close(),
);
