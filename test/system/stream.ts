// A TCP connection that is always busy, for tests of what it has to outlive.
import { ok } from "node:assert/strict";
import { type Lab, OUTSIDE_HOST, until } from "./lab.js";

/** Sends back what it is sent. */
const ECHO = `
require("node:net").createServer((socket) => socket.pipe(socket)).listen(7, () => console.log("ready"));`;

/** Sends without end, and compares what comes back; tells of each megabyte that was right. */
const STREAM = `
const sent = Buffer.alloc(1 << 20, "the quick brown fox jumps over the lazy dog");
const socket = require("node:net").connect(7, "${OUTSIDE_HOST}", () => {
  console.log("ready");
  const send = () => { while (socket.write(sent)); };
  socket.on("drain", send);
  send();
});
let heard = 0;
socket.on("data", (data) => {
  for (let at = 0; at < data.length; ) {
    const place = (heard + at) % sent.length;
    const length = Math.min(sent.length - place, data.length - at);
    if (sent.compare(data, at, at + length, place, place + length) !== 0) console.log("wrong");
    at += length;
  }
  const before = heard;
  heard += data.length;
  for (let i = before >> 20; i < heard >> 20; i++) console.log("right");
});
for (const end of ["error", "close"]) socket.on(end, (error) => console.log("ended " + error));`;

export interface Stream {
  /** Waits until some more megabytes have come back. */
  goesOn(): Promise<void>;
  /** Asserts that all came back as it was sent, and that the connection stands. */
  isWhole(): void;
}

/** Starts one from inside to outside. */
export async function startStream(lab: Lab): Promise<Stream> {
  await lab.script("out", ECHO);
  const { output } = await lab.script("in", STREAM);
  const right = () => output().split("right").length;
  return {
    goesOn: () => {
      const before = right();
      return until("the stream goes on", () => right() > before + 3);
    },
    isWhole: () => ok(!/wrong|ended/.test(output()), output()),
  };
}
