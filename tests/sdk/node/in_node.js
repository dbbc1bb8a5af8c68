// @stream-io/video-client in Node.
import WebSocket from "ws";
import { serve, tell } from "./lines.js";
import { runner } from "./users.js";

// The SDK takes the platform's WebSocket, which Node has since 22.
globalThis.WebSocket ??= WebSocket;
serve(runner(tell));
