// How a gateway fares, in words.
import type { GatewayStatus } from "../gateway/status.js";
import { count, duration, measure } from "./figures.js";
import type { Paint } from "./style.js";

const LABEL = 10;
/** Public addresses that are named; of more it is told how many. */
const MOST_PUBLIC = 8;

/** Some lines for people, each with what it is about first. */
export function statusInWords(status: GatewayStatus, paint: Paint): string {
  const { running, uptime, outside, nat, gateway, capture } = status;
  const { sessions, packets } = nat;
  const lines: [label: string, text: string][] = [
    [
      "gateway",
      running ? `${paint("green", "runs")} since ${duration(uptime)}` : paint("red", "does not run"),
    ],
  ];
  for (const side of ["inside", "outside"] as const) {
    const { interface: name, address, up, neighbours } = status[side];
    const known = `${count(neighbours)} ${neighbours === 1 ? "neighbour" : "neighbours"}`;
    lines.push([side, `${name} ${address}, ${up ? paint("green", "up") : paint("red", "down")}, ${known}`]);
    const frames = gateway?.[side];
    if (frames === undefined) continue;
    const lost = frames.lost + frames.refused + frames.tooLong;
    lines.push([
      "",
      `received ${count(frames.received)} frames, ${measure(frames.receivedBytes, "B")}; ` +
        `sent ${count(frames.sent)}, ${measure(frames.sentBytes, "B")}; ` +
        (lost === 0 ? "none lost" : paint("yellow", `${count(lost)} lost`)),
    ]);
  }
  const more = outside.public.length - MOST_PUBLIC;
  const named = outside.public.slice(0, MOST_PUBLIC).join(", ");
  lines.push(["public", more > 0 ? `${named} and ${count(more)} more` : named]);
  lines.push([
    "sessions",
    `${paint("bold", count(sessions.active))} now, at most ${count(sessions.peak)} at once; ` +
      `${count(sessions.created)} made, ${count(sessions.expired)} expired, ${count(sessions.deleted)} deleted, ` +
      `${count(sessions.evicted)} evicted`,
  ]);
  lines.push([
    "packets",
    `${count(packets.outbound)} out, ${count(packets.inbound)} in, ${count(packets.hairpin)} hairpinned`,
  ]);
  const drops = Object.entries(nat.drops).sort(([, a], [, b]) => b - a);
  lines.push([
    "dropped",
    drops.length === 0 ? "none" : drops.map(([reason, number]) => `${reason} ${count(number)}`).join(", "),
  ]);
  if (capture !== null) {
    const { file, packets: written, lost, unwritten } = capture;
    lines.push([
      "capture",
      `${file}, ${count(written)} packets written, ${count(lost)} lost, ${count(unwritten)} unwritten`,
    ]);
  }
  return lines.map(([label, text]) => `${paint("dim", label.padEnd(LABEL))}${text}`).join("\n");
}
