// What the page loads: users.js, driven from in_chromium.js.
import { runner } from "./users.js";

window.run = runner((said) => window.tell(JSON.stringify(said)));
